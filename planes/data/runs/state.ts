/**
 * Open runs in memory. Each state holds two records: the decided one, which the engine goes on from, and the committed
 * one, which is on disk and which alone anybody is told about.
 */
import type { RunId } from "@biplane/base";
import { isTerminal, Phase } from "@biplane/control-wire";
import type { StoredAction } from "../store/action-rows.ts";
import type { StoredRun } from "../store/run-rows.ts";
import { PhaseCounts } from "./phase-counts.ts";
import type { RetryPolicy } from "./specs.ts";
import { currentAttempt } from "./transitions.ts";
import type { ActionRecord, RunRecord } from "./types.ts";

export function runKey(id: RunId): string {
  return `${id.project}/${id.domain}/${id.run}`;
}

export class RunState {
  readonly key: string;
  stored: StoredRun;
  committed: RunRecord | undefined;
  /** Of the event that told the control plane of it; unknown of runs that were read back at a start. */
  createdSequence: bigint | undefined;
  /** How many intents came for it too late. */
  expiredIntents = 0;
  readonly actions = new Map<string, ActionState>();
  /** Of committed actions. */
  readonly counts = new PhaseCounts();
  /** Actions that count against the run's concurrency limit. */
  #busy = 0;

  constructor(stored: StoredRun) {
    this.stored = stored;
    this.key = runKey(stored.record);
  }

  get record(): RunRecord {
    return this.stored.record;
  }

  get isOpen(): boolean {
    return this.record.endedAtMs === undefined;
  }

  /** Whether an acknowledgement up to there is about this run, and not about a withdrawn one that had its name. */
  isCoveredBy(cursor: bigint): boolean {
    return this.committed !== undefined && (this.createdSequence ?? 0n) <= cursor;
  }

  /** Admitted, and asked for by an intent: its actions may execute. */
  get isStarted(): boolean {
    return this.isOpen && this.record.admission === "admitted" && this.stored.fence > 0n;
  }

  get hasRoom(): boolean {
    const limit = this.stored.actionConcurrencyMax;
    return limit === 0 || this.#busy < limit;
  }

  /** An action that waits for its children takes no room: a limit of one would else never let them run. */
  recount(before: boolean, after: boolean): void {
    if (before !== after) this.#busy += after ? 1 : -1;
  }
}

export class ActionState {
  readonly run: RunState;
  readonly parent: ActionState | undefined;
  readonly depth: number;
  readonly retry: RetryPolicy;
  readonly children: ActionState[] = [];
  #openChildren = 0;
  #record: ActionRecord;
  committed: ActionRecord | undefined;
  notBeforeMs: number;
  updatedAtMs: number;

  constructor(run: RunState, parent: ActionState | undefined, stored: StoredAction) {
    this.run = run;
    this.parent = parent;
    this.depth = stored.depth;
    this.retry = stored.retry;
    this.notBeforeMs = stored.notBeforeMs;
    this.updatedAtMs = stored.updatedAtMs;
    this.#record = stored.record;
    run.actions.set(stored.record.action, this);
    if (parent !== undefined) {
      parent.children.push(this);
      if (this.isOpen) parent.#countChild(1);
    }
    run.recount(false, this.#isBusy);
  }

  get record(): ActionRecord {
    return this.#record;
  }

  set record(next: ActionRecord) {
    const wasBusy = this.#isBusy;
    const wasOpen = this.isOpen;
    this.#record = next;
    this.run.recount(wasBusy, this.#isBusy);
    if (wasOpen && !this.isOpen && this.parent !== undefined) this.parent.#countChild(-1);
  }

  get isOpen(): boolean {
    return !isTerminal(this.#record.phase);
  }

  /** May be leased as soon as its time has come. */
  get isWaiting(): boolean {
    return this.#record.kind === "task" && this.#record.phase === Phase.QUEUED && this.run.isStarted;
  }

  /** Whether this attempt, and no later one, is executing. */
  isRunning(attempt: number): boolean {
    const current = currentAttempt(this.#record);
    return this.#record.phase === Phase.RUNNING && current.attempt === attempt;
  }

  snapshot(): StoredAction {
    const { depth, retry, notBeforeMs, updatedAtMs } = this;
    return { record: this.#record, depth, retry, notBeforeMs, updatedAtMs };
  }

  get #isBusy(): boolean {
    return this.#record.phase === Phase.RUNNING && this.#openChildren === 0;
  }

  #countChild(difference: number): void {
    const wasBusy = this.#isBusy;
    this.#openChildren += difference;
    this.run.recount(wasBusy, this.#isBusy);
  }
}
