/** What the runs module offers its neighbours: the router's services, the executor and the link. */
import type { ActionId, ActionName, AttemptId, Digest, ProjectDomain, RunId, TaskId } from "@biplane/base";
import type { AdmissionOutcome, Event, Intent, IntentOutcome, Phase, RunRef } from "@biplane/control-wire";

export interface ActionFailure {
  /** Stable code, e.g. `OOMKilled`; may cross to the control plane. */
  readonly code: string;
  /** For people; stays in the data plane. */
  readonly message: string;
  readonly kind: "user" | "system";
  readonly recoverable: boolean;
}

export interface AbortInfo {
  readonly reason: string;
  readonly by: string;
}

/** In records: Biplane's own words as they are; what people and programs wrote under the project's key, base64. */
export type Text = string | { readonly sealed: string };

export interface RecordedFailure extends Omit<ActionFailure, "message"> {
  readonly message: Text;
}

export interface RecordedAbort extends Omit<AbortInfo, "reason"> {
  readonly reason: Text;
}

export interface RunRecord extends RunId {
  /** Pending runs are unlisted and never executed (rule of state 3). */
  readonly admission: "pending" | "admitted" | "withdrawn";
  readonly documentDigest: Digest;
  readonly phase: Phase;
  readonly createdBy: string;
  readonly createdAtMs: number;
  readonly startedAtMs: number | undefined;
  readonly endedAtMs: number | undefined;
  readonly taskName: string;
  readonly taskVersion: string;
  readonly labels: Readonly<Record<string, string>>;
  /** `flyteidl2.workflow.RunSource`. */
  readonly source: number;
}

export interface PhaseTransition {
  readonly phase: Phase;
  readonly atMs: number;
}

export interface AttemptRecord {
  /** From 1. */
  readonly attempt: number;
  readonly phase: Phase;
  readonly startedAtMs: number | undefined;
  readonly endedAtMs: number | undefined;
  readonly transitions: readonly PhaseTransition[];
  readonly failure: RecordedFailure | undefined;
  /** Directory of this attempt's outputs, `s3://…/`. */
  readonly outputPrefix: string;
  readonly hasReport: boolean;
  readonly logsAvailable: boolean;
}

export type ActionKind = "task" | "trace" | "condition";

export interface ActionRecord extends ActionId {
  readonly parent: string;
  readonly kind: ActionKind;
  readonly group: string;
  readonly taskName: string;
  readonly taskVersion: string;
  readonly taskType: string;
  readonly shortName: string;
  readonly environmentName: string;
  /** Digest of the `flyteidl2.task.TaskSpec` (of the `TraceSpec` for traces), read with `Runs.document`. */
  readonly specDigest: Digest | undefined;
  readonly inputUri: string;
  /** Task: directory of the successful attempt. Trace: file. Undefined while there is none. */
  readonly outputUri: string | undefined;
  readonly phase: Phase;
  readonly createdBy: string;
  readonly createdAtMs: number;
  readonly startedAtMs: number | undefined;
  readonly endedAtMs: number | undefined;
  /** Dense from 1; never empty. */
  readonly attempts: readonly AttemptRecord[];
  readonly failure: RecordedFailure | undefined;
  readonly abort: RecordedAbort | undefined;
}

/** What CreateRun hands over, already authenticated, authorized and checked. */
export interface NewRun {
  readonly scope: ProjectDomain;
  /** Undefined: generated. */
  readonly name: string | undefined;
  readonly createdBy: string;
  /** The client's whole request in bytes; part of the run document, which is stored write-once under its digest. */
  readonly request: Uint8Array;
  /** `flyteidl2.task.TaskSpec` and `RunSpec` in bytes, as received. */
  readonly taskSpec: Uint8Array;
  readonly runSpec: Uint8Array;
  readonly inputUri: string;
  /** SHA-256 of what `inputUri` and the bundle hold, pinned at submission (rule of state 11). */
  readonly pins: readonly ObjectPin[];
  readonly source: number;
  readonly runStartTimeMs: number;
  /** Rule of state 2; undefined where the client sent no `x-request-id`. */
  readonly repeatKey: string | undefined;
}

export interface ObjectPin {
  readonly uri: string;
  readonly sha256: string;
}

export interface NewChild {
  readonly name: ActionName;
  readonly group: string;
  readonly taskSpec: Uint8Array;
  readonly inputUri: string;
}

export interface NewTrace {
  readonly name: ActionName;
  readonly functionName: string;
  readonly group: string;
  readonly startedAtMs: number;
  readonly endedAtMs: number;
  readonly outputUri: string;
  readonly phase: Phase;
  readonly failure: ActionFailure | undefined;
  readonly spec: Uint8Array | undefined;
}

/** Flyte's filters, ANDed (`flyte-wire-compat` section 5); `values` as they came. */
export interface ListFilter {
  readonly field: string;
  /** `flyteidl2.common.Filter.Function` as a number, newer ones included. */
  readonly operator: number;
  readonly values: readonly string[];
}

export interface ListQuery {
  readonly filters: readonly ListFilter[];
  readonly sort: readonly { readonly field: string; readonly ascending: boolean }[];
  readonly limit: number;
  readonly cursor: string;
}

export interface Listed<T> {
  readonly items: readonly T[];
  /** Empty at the end. */
  readonly nextCursor: string;
}

export interface ChildrenUpdate {
  readonly updates: readonly ActionRecord[];
  /** True once: everything before it was the snapshot. */
  readonly snapshotEnd: boolean;
}

export interface PhaseCount {
  readonly taskName: string;
  readonly phase: Phase;
  readonly count: number;
}

export interface DeployedTask extends TaskId {
  readonly spec: Uint8Array;
  readonly deployedBy: string;
  readonly deployedAtMs: number;
  readonly shortName: string;
  readonly environmentName: string;
}

/** Watches give the present state first, then each change; a slow reader gets the newest state, never a backlog. */
export interface Runs {
  createRun(run: NewRun): Promise<RunRecord>;
  /** First terminal commit wins; ending an ended run answers as if it had worked (rule of state 6). */
  abortRun(id: RunId, abort: AbortInfo): Promise<void>;
  abortAction(id: ActionId, abort: AbortInfo): Promise<void>;
  /** Idempotent by name. Refused with `aborted` where the parent's attempt is no longer the leased one. */
  enqueueChildren(parent: AttemptId, children: readonly NewChild[]): Promise<void>;
  recordTraces(parent: AttemptId, traces: readonly NewTrace[]): Promise<void>;

  getRun(id: RunId): Promise<RunRecord>;
  getAction(id: ActionId): Promise<ActionRecord>;
  /** The record with the texts of its failures and its abort opened. Refused with reason `key_disabled`. */
  withTexts(record: ActionRecord): Promise<ActionRecord>;
  /** Bytes of a stored document by digest: the client's request, a task spec, a run spec. Refused like texts. */
  document(project: string, digest: Digest): Promise<Uint8Array>;
  runSpec(id: RunId): Promise<Uint8Array>;
  listRuns(
    scope: { org: string; project?: string; domain?: string },
    query: ListQuery,
  ): Promise<Listed<RunRecord>>;
  listActions(id: RunId, query: ListQuery): Promise<Listed<ActionRecord>>;

  watchRun(id: RunId, signal: AbortSignal): AsyncIterable<RunRecord>;
  watchAction(id: ActionId, signal: AbortSignal): AsyncIterable<ActionRecord>;
  watchActions(id: RunId, signal: AbortSignal): AsyncIterable<readonly ActionRecord[]>;
  watchRuns(scope: ProjectDomain, signal: AbortSignal): AsyncIterable<readonly RunRecord[]>;
  watchChildren(id: RunId, parent: ActionName, signal: AbortSignal): AsyncIterable<ChildrenUpdate>;
  /** At most ten a second; ends after the run's end. */
  watchProgress(
    id: RunId,
    signal: AbortSignal,
  ): AsyncIterable<{ phase: Phase; counts: readonly PhaseCount[] }>;

  deployTask(task: DeployedTask): Promise<void>;
  getTask(id: TaskId): Promise<DeployedTask>;
  listTasks(
    scope: { org: string; project?: string; domain?: string },
    query: ListQuery,
  ): Promise<Listed<DeployedTask>>;
}

/** An attempt that this process alone may execute. */
export interface Lease extends AttemptId {
  readonly record: ActionRecord;
  readonly runRecord: RunRecord;
  readonly taskSpec: Uint8Array;
  readonly runSpec: Uint8Array;
  readonly pins: readonly ObjectPin[];
  readonly runStartTimeMs: number;
  readonly previousAttempt: number | undefined;
  /** Aborts when the action was ended elsewhere: kill what runs. */
  readonly ended: AbortSignal;
}

export type AttemptOutcome =
  | { readonly kind: "succeeded"; readonly hasReport: boolean }
  | { readonly kind: "failed"; readonly failure: ActionFailure; readonly hasReport: boolean }
  | { readonly kind: "timed_out"; readonly failure: ActionFailure; readonly hasReport: boolean };

/** The executor's side. */
export interface ActionQueue {
  /** The next action whose time has come, leased durably and RUNNING; waits for one. Undefined once aborted. */
  lease(signal: AbortSignal): Promise<Lease | undefined>;
  /** At most so many of those whose time has come, leased by one transaction; none where nothing waits. */
  leaseReady(countMax: number): Promise<readonly Lease[]>;
  /** Nobody has begun to execute it: the same attempt waits for the next taker. */
  giveBack(lease: AttemptId): void;
  /**
   * Records the one outcome of an attempt; decides on retries. After `ended` it does nothing. `startedAtMs`: when it
   * began, where that was later than its lease.
   */
  finish(lease: AttemptId, outcome: AttemptOutcome, startedAtMs?: number): Promise<void>;
  /** Attempts that were leased when the process last ended; call once, before the first `lease`. */
  interrupted(): Promise<readonly AttemptId[]>;
}

/** The link's side: what goes up, and what comes down. */
export interface Outbox {
  readonly incarnation: string;
  lastSequence(): bigint;
  /** Newest cursor that `acknowledge` made durable; 0 at first. The control plane repeats what was answered after it. */
  acknowledgedSequence(): bigint;
  /** Events after the sequence, oldest first. */
  read(after: bigint, limit: number): Promise<readonly Event[]>;
  /** Resolves when there is something after the sequence, or the signal aborts. */
  wait(after: bigint, signal: AbortSignal): Promise<void>;
  /** Everything up to the cursor is on the control plane's disk; admissions answer waiting CreateRuns. */
  acknowledge(
    cursor: bigint,
    admissions: readonly { run: RunRef; outcome: AdmissionOutcome }[],
  ): Promise<void>;
  /** Appends a full snapshot of this cluster's runs (rule of state 8). */
  appendSnapshot(): Promise<void>;
}

export interface IntentHandler {
  /** Durable when answered; idempotent by (run, fence) (rule of state 5). */
  acceptIntent(intent: Intent): Promise<IntentOutcome>;
}
