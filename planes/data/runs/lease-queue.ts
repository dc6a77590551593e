/** The executor's side: hands out attempts, each to one taker, and records how they ended. */
import { type AttemptId, BiplaneError } from "@biplane/base";
import { Phase } from "@biplane/control-wire";
import { backoffMs, sleep } from "@biplane/kit/backoff";
import { abortDescendants, parentEnded } from "./aborts.ts";
import type { Engine } from "./engine.ts";
import { decideRetry } from "./retries.ts";
import type { ActionState } from "./state.ts";
import { begun, currentAttempt, failed, givenBack, leased, retried, succeeded } from "./transitions.ts";
import type {
  ActionFailure,
  ActionQueue,
  ActionRecord,
  AttemptOutcome,
  Lease,
  RecordedFailure,
} from "./types.ts";

interface Waiter {
  readonly signal: AbortSignal;
  readonly lease: PromiseWithResolvers<Lease | undefined>;
}

/** An action that was handed out in memory; its lease is being written. */
interface Handed {
  readonly action: ActionState;
  readonly attempt: number;
  readonly ended: AbortSignal;
}

type FailureOutcome = Exclude<AttemptOutcome, { kind: "succeeded" }>;
type RecordedFailureOutcome = Omit<FailureOutcome, "failure"> & { readonly failure: RecordedFailure };
type RecordedOutcome = Extract<AttemptOutcome, { kind: "succeeded" }> | RecordedFailureOutcome;

const finishMsMax = 20;
/** Node fires timers set further ahead at once. */
const timerMsMax = 2 ** 31 - 1;

export class LeaseQueue implements ActionQueue {
  readonly #engine: Engine;
  readonly #waiters = new Set<Waiter>();
  readonly #interrupted: readonly AttemptId[];
  #scheduled = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(engine: Engine, interrupted: readonly AttemptId[]) {
    this.#engine = engine;
    this.#interrupted = interrupted;
    engine.readyChanged.onNotify(() => this.#schedule());
  }

  async lease(signal: AbortSignal): Promise<Lease | undefined> {
    if (signal.aborted) return undefined;
    const waiter: Waiter = { signal, lease: Promise.withResolvers() };
    const leave = () => {
      if (this.#waiters.delete(waiter)) waiter.lease.resolve(undefined);
    };
    signal.addEventListener("abort", leave, { once: true });
    this.#waiters.add(waiter);
    this.#schedule();
    try {
      return await waiter.lease.promise;
    } finally {
      signal.removeEventListener("abort", leave);
    }
  }

  async leaseReady(countMax: number): Promise<readonly Lease[]> {
    const engine = this.#engine;
    const handed: Handed[] = [];
    while (engine.isUsable && handed.length < countMax) {
      const action = engine.ready.take(engine.now());
      if (action === undefined) break;
      handed.push(this.#handOut(action));
    }
    if (handed.length === 0) return [];
    await engine.commit();
    const leases = await Promise.all(handed.map((one) => this.#readLease(one)));
    return leases.filter((lease) => lease !== undefined);
  }

  giveBack({ attempt, ...id }: AttemptId): void {
    const engine = this.#engine;
    // Whatever follows: while memory is read anew after a failed write, it is what nobody holds that waits again.
    engine.leases.drop({ ...id, attempt });
    const action = engine.openRun(id)?.actions.get(id.action);
    if (!engine.isUsable || action?.isRunning(attempt) !== true) return;
    engine.changeAction(action, givenBack(action.record, engine.now()));
    engine.commit().catch(() => undefined);
  }

  /** Repeats until it is on disk: the executor has nobody else to tell. */
  async finish(id: AttemptId, outcome: AttemptOutcome, startedAtMs = 0): Promise<void> {
    for (let attempt = 0; ; attempt += 1) {
      try {
        const recorded = await this.#sealed(id, outcome);
        this.#engine.requireUsable();
        this.#finish(id, recorded, startedAtMs);
        return await this.#commitFinish(id);
      } catch (error) {
        if (!(error instanceof BiplaneError && error.retryable) || this.#engine.isClosed) throw error;
        await sleep(backoffMs(attempt, { firstMs: 50, lastMs: 5_000 }));
      }
    }
  }

  /** While others of its run wait for slots, nobody gains by haste: it goes with their leases. */
  #commitFinish(id: AttemptId): Promise<void> {
    const { committer, ready } = this.#engine;
    const run = this.#engine.openRun(id);
    const isHasty = run === undefined || !ready.hasWaiting(run);
    return isHasty ? committer.commit() : committer.commitWithin(finishMsMax);
  }

  async #sealed(id: AttemptId, outcome: AttemptOutcome): Promise<RecordedOutcome> {
    if (outcome.kind === "succeeded") return outcome;
    return { ...outcome, failure: await this.#engine.texts.sealFailure(id, outcome.failure) };
  }

  interrupted(): Promise<readonly AttemptId[]> {
    return Promise.resolve(this.#interrupted);
  }

  close(): void {
    clearTimeout(this.#timer);
    for (const waiter of this.#waiters) waiter.lease.resolve(undefined);
    this.#waiters.clear();
  }

  /** Later in this turn of the event loop: everything decided in it is handed out by one transaction. */
  #schedule(): void {
    if (this.#scheduled || this.#waiters.size === 0) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      this.#dispatch();
    });
  }

  #dispatch(): void {
    const engine = this.#engine;
    if (!engine.isUsable) return;
    for (const waiter of this.#waiters) {
      const action = engine.ready.take(engine.now());
      if (action === undefined) {
        this.#wakeAt(engine.ready.nextTimeMs());
        return;
      }
      this.#waiters.delete(waiter);
      this.#grant(waiter, action);
    }
  }

  #wakeAt(timeMs: number | undefined): void {
    clearTimeout(this.#timer);
    if (timeMs === undefined) return;
    const delayMs = Math.min(Math.max(0, timeMs - this.#engine.now()), timerMsMax);
    this.#timer = setTimeout(() => this.#schedule(), delayMs);
  }

  /** Call `commit` then: it is the taker's once the transaction has been written. */
  #handOut(action: ActionState): Handed {
    const engine = this.#engine;
    engine.changeAction(action, leased(action.record, engine.now()));
    const { attempt } = currentAttempt(action.record);
    const id: AttemptId = { ...action.record, attempt };
    const controller = new AbortController();
    engine.committer.batch.afterCommit.push(() => engine.leases.hold(id, controller));
    return { action, attempt, ended: controller.signal };
  }

  #grant(waiter: Waiter, action: ActionState): void {
    const handed = this.#handOut(action);
    this.#engine.commit().then(
      () => this.#deliver(waiter, handed),
      () => this.#waitAgain(waiter),
    );
  }

  async #deliver(waiter: Waiter, handed: Handed): Promise<void> {
    if (waiter.signal.aborted) {
      this.giveBack({ ...handed.action.record, attempt: handed.attempt });
      return waiter.lease.resolve(undefined);
    }
    const lease = await this.#readLease(handed);
    if (lease === undefined) this.#waitAgain(waiter);
    else waiter.lease.resolve(lease);
  }

  /** Undefined where there is nothing to execute: it has ended meanwhile, or what it was to run can't be read. */
  async #readLease(handed: Handed): Promise<Lease | undefined> {
    const { action, attempt, ended } = handed;
    if (ended.aborted) return undefined;
    try {
      return await this.#leaseOf(action, attempt, ended);
    } catch (error) {
      const failure = unreadableSpecification(error);
      await this.finish({ ...action.record, attempt }, { kind: "failed", failure, hasReport: false }).catch(
        () => undefined,
      );
      return undefined;
    }
  }

  #waitAgain(waiter: Waiter): void {
    if (waiter.signal.aborted || this.#engine.isClosed) {
      waiter.lease.resolve(undefined);
      return;
    }
    this.#waiters.add(waiter);
    this.#schedule();
  }

  async #leaseOf(action: ActionState, attempt: number, ended: AbortSignal): Promise<Lease> {
    const { documents } = this.#engine;
    const { record, run } = action;
    const { org, project, domain, run: name } = record;
    const [taskSpec, runSpec] = await Promise.all([
      documents.read(project, record.specDigest!),
      documents.read(project, run.stored.runSpecDigest),
    ]);
    return {
      ...{ org, project, domain, run: name, action: record.action, attempt },
      record,
      runRecord: run.record,
      taskSpec,
      runSpec,
      pins: run.stored.pins,
      runStartTimeMs: run.stored.runStartTimeMs,
      previousAttempt: attempt > 1 ? attempt - 1 : undefined,
      ended,
    };
  }

  #finish(id: AttemptId, outcome: RecordedOutcome, startedAtMs: number): void {
    const engine = this.#engine;
    const action = engine.openRun(id)?.actions.get(id.action);
    if (action === undefined || !action.isRunning(id.attempt)) return;
    engine.leases.markFinishing(id);
    const record = begun(action.record, Math.min(startedAtMs, engine.now()));
    if (outcome.kind === "succeeded") {
      engine.changeAction(action, succeeded(record, engine.now(), outcome.hasReport));
      abortDescendants(engine, action, parentEnded);
    } else this.#fail(action, record, outcome);
  }

  #fail(action: ActionState, record: ActionRecord, outcome: RecordedFailureOutcome): void {
    const engine = this.#engine;
    const { retry } = action;
    const { failure, hasReport } = outcome;
    const phase = outcome.kind === "timed_out" ? Phase.TIMED_OUT : Phase.FAILED;
    const decision = decideRetry(failure, record.attempts.slice(0, -1), retry);
    if (decision.kind === "end") {
      engine.changeAction(action, failed(record, phase, engine.now(), failure, hasReport));
      abortDescendants(engine, action, parentEnded);
      return;
    }
    const { bucket } = engine.options;
    const next = retried(record, phase, engine.now(), failure, { hasReport, bucket });
    engine.changeAction(action, next, engine.now() + decision.delayMs);
  }
}

function unreadableSpecification(error: unknown): ActionFailure {
  const code = (error instanceof BiplaneError ? error.reason : undefined) ?? "document_unreadable";
  return {
    code,
    message:
      code === "key_disabled"
        ? "The task's specification can't be read: the key of its project is disabled."
        : "The task's specification can't be read from the data plane's database.",
    kind: "system",
    recoverable: code !== "document_missing",
  };
}
