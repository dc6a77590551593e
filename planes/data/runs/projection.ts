/** What the control plane may know of a run, an action, an attempt, a task: names, phases, times, codes; no text. */
import type { Digest, RunId } from "@biplane/base";
import {
  ActionKind,
  ActionProjectionSchema,
  AttemptProjectionSchema,
  type Event,
  EventSchema,
  FailureKind,
  RunProjectionSchema,
  type RunRef,
  RunRefSchema,
  TaskProjectionSchema,
  TaskRefSchema,
} from "@biplane/control-wire";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { type Timestamp, timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { StoredRun } from "../store/run-rows.ts";
import type { StoredTask } from "../store/task-rows.ts";
import type { ActionRecord, AttemptRecord, ActionKind as Kind, RecordedFailure } from "./types.ts";

export type Change = NonNullable<MessageInitShape<typeof EventSchema>["change"]>;

const actionKinds: Readonly<Record<Kind, ActionKind>> = {
  task: ActionKind.TASK,
  trace: ActionKind.TRACE,
  condition: ActionKind.CONDITION,
};

export function event(sequence: bigint, occurredAtMs: number, change: Change): Event {
  return create(EventSchema, { sequence, occurredAt: timestampFromMs(occurredAtMs), change });
}

export function runRef(id: RunId): RunRef {
  return create(RunRefSchema, { org: id.org, project: id.project, domain: id.domain, name: id.run });
}

export function runChange(run: StoredRun, cluster: string, kind: "runCreated" | "runUpdated"): Change {
  const { record } = run;
  const value = create(RunProjectionSchema, {
    run: runRef(record),
    documentDigest: Buffer.from(record.documentDigest, "hex"),
    cluster,
    task: create(TaskRefSchema, {
      org: record.org,
      project: record.project,
      domain: record.domain,
      name: record.taskName,
      version: record.taskVersion,
    }),
    createdBy: record.createdBy,
    phase: record.phase,
    createdAt: timestampFromMs(record.createdAtMs),
    startedAt: time(record.startedAtMs),
    endedAt: time(record.endedAtMs),
    failureCode: run.failureCode ?? "",
    failureKind: failureKind(run.failureKind),
  });
  return { case: kind, value };
}

export function actionChange(record: ActionRecord): Change {
  const value = create(ActionProjectionSchema, {
    run: runRef(record),
    name: record.action,
    parent: record.parent,
    kind: actionKinds[record.kind],
    // What a step is called is text that a program made while it ran; what a task is called was declared.
    taskName: record.kind === "trace" ? "" : record.taskName,
    taskVersion: record.taskVersion,
    phase: record.phase,
    attempt: record.attempts.length,
    createdAt: timestampFromMs(record.createdAtMs),
    startedAt: time(record.startedAtMs),
    endedAt: time(record.endedAtMs),
    ...failureOf(record.failure),
  });
  return { case: "actionUpdated", value };
}

export function attemptChange(record: ActionRecord, attempt: AttemptRecord): Change {
  const value = create(AttemptProjectionSchema, {
    run: runRef(record),
    action: record.action,
    attempt: attempt.attempt,
    phase: attempt.phase,
    startedAt: time(attempt.startedAtMs),
    endedAt: time(attempt.endedAtMs),
    ...failureOf(attempt.failure),
  });
  return { case: "attemptUpdated", value };
}

export function taskChange(task: StoredTask): Change {
  const value = create(TaskProjectionSchema, {
    task: create(TaskRefSchema, {
      org: task.org,
      project: task.project,
      domain: task.domain,
      name: task.name,
      version: task.version,
    }),
    deployedAt: timestampFromMs(task.deployedAtMs),
    deployedBy: task.deployedBy,
    specDigest: digestBytes(task.specDigest),
  });
  return { case: "taskDeployed", value };
}

function digestBytes(digest: Digest): Uint8Array {
  return Buffer.from(digest, "hex");
}

/** A code is a word such as `OOMKilled`, and both ends refuse anything else: what a program wrote there is withheld. */
const codePattern = /^[A-Za-z][A-Za-z0-9_.-]{0,63}$/;

export function projectedCode(code: string): string {
  return codePattern.test(code) ? code : "Unknown";
}

function failureOf(failure: RecordedFailure | undefined): { failureCode: string; failureKind: FailureKind } {
  return failure === undefined
    ? { failureCode: "", failureKind: FailureKind.UNSPECIFIED }
    : { failureCode: projectedCode(failure.code), failureKind: failureKind(failure.kind) };
}

function failureKind(kind: "user" | "system" | undefined): FailureKind {
  if (kind === undefined) return FailureKind.UNSPECIFIED;
  return kind === "user" ? FailureKind.USER : FailureKind.SYSTEM;
}

function time(atMs: number | undefined): Timestamp | undefined {
  return atMs === undefined ? undefined : timestampFromMs(atMs);
}
