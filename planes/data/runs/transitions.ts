/** How records of actions and attempts change: pure functions from one immutable record to the next. */
import type { ActionId, AttemptId } from "@biplane/base";
import { Phase } from "@biplane/control-wire";
import { attemptUri } from "../store/attempt-column.ts";
import type { TaskSummary } from "./specs.ts";
import type { ActionRecord, AttemptRecord, RecordedAbort, RecordedFailure } from "./types.ts";

export interface NewAction {
  readonly id: ActionId;
  readonly parent: string;
  readonly group: string;
  readonly inputUri: string;
  readonly createdBy: string;
  readonly task: TaskSummary;
  readonly atMs: number;
  readonly bucket: string;
}

export function newTaskAction(action: NewAction): ActionRecord {
  const { id, task } = action;
  return {
    org: id.org,
    project: id.project,
    domain: id.domain,
    run: id.run,
    action: id.action,
    parent: action.parent,
    kind: "task",
    group: action.group,
    taskName: task.name,
    taskVersion: task.version,
    taskType: task.type,
    shortName: task.shortName,
    environmentName: task.environmentName,
    specDigest: task.digest,
    inputUri: action.inputUri,
    outputUri: undefined,
    phase: Phase.QUEUED,
    createdBy: action.createdBy,
    createdAtMs: action.atMs,
    startedAtMs: undefined,
    endedAtMs: undefined,
    attempts: [newAttempt(action.bucket, { ...id, attempt: 1 }, action.atMs)],
    failure: undefined,
    abort: undefined,
  };
}

function newAttempt(bucket: string, id: AttemptId, atMs: number): AttemptRecord {
  return {
    attempt: id.attempt,
    phase: Phase.QUEUED,
    startedAtMs: undefined,
    endedAtMs: undefined,
    transitions: [{ phase: Phase.QUEUED, atMs }],
    failure: undefined,
    outputPrefix: attemptUri(bucket, id),
    hasReport: false,
    logsAvailable: false,
  };
}

export function currentAttempt(record: ActionRecord): AttemptRecord {
  return record.attempts.at(-1)!;
}

export function leased(record: ActionRecord, atMs: number): ActionRecord {
  const attempt = moveAttempt(currentAttempt(record), Phase.RUNNING, atMs);
  const started = { ...attempt, startedAtMs: lastTime(attempt), logsAvailable: true };
  return {
    ...withAttempt(record, started),
    phase: Phase.RUNNING,
    startedAtMs: record.startedAtMs ?? started.startedAtMs,
  };
}

/** Leased some moments before it began: its time is when it began. */
export function begun(record: ActionRecord, atMs: number): ActionRecord {
  const attempt = currentAttempt(record);
  if (attempt.phase !== Phase.RUNNING || atMs <= lastTime(attempt)) return record;
  const transitions = [...attempt.transitions.slice(0, -1), { phase: attempt.phase, atMs }];
  const first = record.attempts.length === 1;
  return {
    ...withAttempt(record, { ...attempt, startedAtMs: atMs, transitions }),
    startedAtMs: first ? atMs : record.startedAtMs,
  };
}

/** A lease that nobody took: the same attempt waits again. */
export function givenBack(record: ActionRecord, atMs: number): ActionRecord {
  const attempt = moveAttempt(currentAttempt(record), Phase.QUEUED, atMs);
  const waiting = { ...attempt, startedAtMs: undefined, logsAvailable: false };
  const first = record.attempts.length === 1;
  return {
    ...withAttempt(record, waiting),
    phase: Phase.QUEUED,
    startedAtMs: first ? undefined : record.startedAtMs,
  };
}

export function succeeded(record: ActionRecord, atMs: number, hasReport: boolean): ActionRecord {
  const attempt = endAttempt(currentAttempt(record), Phase.SUCCEEDED, atMs, undefined, hasReport);
  return { ...endedWith(record, attempt), outputUri: attempt.outputPrefix };
}

/** The action's end, for want of another attempt. */
export function failed(
  record: ActionRecord,
  phase: typeof Phase.FAILED | typeof Phase.TIMED_OUT,
  atMs: number,
  failure: RecordedFailure,
  hasReport: boolean,
): ActionRecord {
  const attempt = endAttempt(currentAttempt(record), phase, atMs, failure, hasReport);
  return { ...endedWith(record, attempt), failure };
}

/** The attempt failed; the next one waits in the queue. */
export function retried(
  record: ActionRecord,
  phase: typeof Phase.FAILED | typeof Phase.TIMED_OUT,
  atMs: number,
  failure: RecordedFailure,
  options: { readonly hasReport: boolean; readonly bucket: string },
): ActionRecord {
  const attempt = endAttempt(currentAttempt(record), phase, atMs, failure, options.hasReport);
  const next = newAttempt(options.bucket, { ...record, attempt: attempt.attempt + 1 }, attempt.endedAtMs!);
  const ended = withAttempt(record, attempt);
  return { ...ended, phase: Phase.QUEUED, attempts: [...ended.attempts, next] };
}

export function aborted(record: ActionRecord, atMs: number, abort: RecordedAbort): ActionRecord {
  const attempt = currentAttempt(record);
  return {
    ...endedWith(record, endAttempt(attempt, Phase.ABORTED, atMs, undefined, attempt.hasReport)),
    abort,
  };
}

function endedWith(record: ActionRecord, attempt: AttemptRecord): ActionRecord {
  return { ...withAttempt(record, attempt), phase: attempt.phase, endedAtMs: lastTime(attempt) };
}

function endAttempt(
  attempt: AttemptRecord,
  phase: Phase,
  atMs: number,
  failure: RecordedFailure | undefined,
  hasReport: boolean,
): AttemptRecord {
  const moved = moveAttempt(attempt, phase, atMs);
  return { ...moved, endedAtMs: lastTime(moved), failure, hasReport };
}

/** Times of one attempt never run backwards, whatever the machine's clock does. */
function moveAttempt(attempt: AttemptRecord, phase: Phase, atMs: number): AttemptRecord {
  const at = Math.max(atMs, lastTime(attempt));
  return { ...attempt, phase, transitions: [...attempt.transitions, { phase, atMs: at }] };
}

function lastTime(attempt: AttemptRecord): number {
  return attempt.transitions.at(-1)?.atMs ?? 0;
}

function withAttempt(record: ActionRecord, attempt: AttemptRecord): ActionRecord {
  return { ...record, attempts: [...record.attempts.slice(0, -1), attempt] };
}
