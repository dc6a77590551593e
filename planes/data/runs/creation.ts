/**
 * From a client's CreateRun to an admitted run (rules of state 2 to 4): the run is on disk as `pending` before the
 * control plane hears of it, and starts only while somebody waits for the answer, or asks again.
 */
import { randomBytes } from "node:crypto";
import { type Digest, limits, type RunId, type RunName, rootAction, runNameFrom } from "@biplane/base";
import { AdmissionOutcome, Phase, type RunRef } from "@biplane/control-wire";
import type { ProjectKey } from "../keys/types.ts";
import { digestOf } from "../store/document-rows.ts";
import { type RepeatKey, readRepeatKeys } from "../store/key-rows.ts";
import { readRun, type StoredRun } from "../store/run-rows.ts";
import { admissionRefused, nameTaken, notAdmittedYet } from "./admission-errors.ts";
import type { Engine } from "./engine.ts";
import { GroupedReads } from "./grouped-reads.ts";
import type { FoundRepeat } from "./repeat-keys.ts";
import { type Bound, runDocumentOf } from "./run-document.ts";
import { parseRunRef } from "./run-ref.ts";
import { type RunSpecSummary, summarizeRunSpec, type TaskSummary } from "./specs.ts";
import { ActionState, type RunState } from "./state.ts";
import { requireTime } from "./times.ts";
import { aborted, newTaskAction } from "./transitions.ts";
import type { NewRun, RunRecord } from "./types.ts";

interface Waiter {
  readonly answer: PromiseWithResolvers<RunRecord>;
  readonly timer: NodeJS.Timeout;
}

interface Specs {
  readonly task: TaskSummary;
  readonly run: RunSpecSummary;
}

export class RunCreation {
  readonly #engine: Engine;
  readonly #waiters = new Map<string, Set<Waiter>>();
  readonly #storedRepeats: GroupedReads<string, RepeatKey>;

  constructor(engine: Engine) {
    this.#engine = engine;
    const { database, org } = engine.options;
    this.#storedRepeats = new GroupedReads((keys) =>
      database.asOrg(org, (transaction) => readRepeatKeys(transaction, org, keys)),
    );
  }

  async createRun(run: NewRun): Promise<RunRecord> {
    requireTime(run.runStartTimeMs, "The run's start time");
    const earlier = await this.#findRepeat(run.repeatKey);
    if (earlier !== undefined) return this.#resume(earlier);
    const key = this.#engine.documents.keyOf(run.scope.project);
    // Awaited below, beside what the database is asked.
    key.catch(() => undefined);
    const specs = { task: this.#engine.summaries.of(run.taskSpec), run: summarizeRunSpec(run.runSpec) };
    const name = (run.name as RunName | undefined) ?? runNameFrom(randomBytes(10));
    const id: RunId = { ...run.scope, run: name };
    const taken = run.name === undefined ? undefined : await this.#readRun(id);
    const projectKey = await key;
    this.#engine.requireUsable();
    // Others may have come first while the database was asked.
    const raced = this.#remembered(run.repeatKey);
    if (raced.kind === "known") return this.#resume(raced.run);
    if (this.#engine.openRun(id) !== undefined) throw nameTaken(name);
    if (taken !== undefined) this.#takeOverName(taken);
    const state = this.#begin(id, run, specs, projectKey);
    const answer = this.#wait(state);
    await this.#engine.commit();
    return answer;
  }

  /** The control plane's word on a pending run, with events up to the cursor. Decides only; the caller commits. */
  admit(ref: RunRef, outcome: AdmissionOutcome, cursor: bigint): void {
    const id = parseRunRef(ref);
    const state = id === undefined ? undefined : this.#engine.openRun(id);
    if (state?.record.admission !== "pending" || !state.isCoveredBy(cursor)) return;
    if (outcome !== AdmissionOutcome.ADMITTED) this.#refuse(state, outcome);
    else if (this.#waiters.has(state.key)) this.#start(state);
    else if (!state.stored.granted) this.#engine.changeRun(state, { granted: true });
  }

  /** Pending runs that nobody asked for again in time. Decides only. */
  withdrawExpired(): void {
    const before = this.#engine.now() - limits.pendingRunMs;
    for (const state of [...this.#engine.runs.values()]) {
      const { admission, createdAtMs } = state.record;
      if (admission === "pending" && createdAtMs <= before && !this.#waiters.has(state.key)) {
        this.#withdraw(state);
      }
    }
  }

  async #findRepeat(key: string | undefined): Promise<RunId | undefined> {
    const remembered = this.#remembered(key);
    if (key === undefined || remembered.kind === "absent") return undefined;
    if (remembered.kind === "known") return remembered.run;
    const stored = await this.#storedRepeats.get(key);
    return stored !== undefined && stored.createdAtMs > this.#oldestRepeatMs() ? stored.run : undefined;
  }

  #remembered(key: string | undefined): FoundRepeat {
    return key === undefined ? { kind: "absent" } : this.#engine.repeats.find(key, this.#oldestRepeatMs());
  }

  #oldestRepeatMs(): number {
    return this.#engine.now() - limits.repeatKeyMs;
  }

  /** The first answer again, or the wait for it again. */
  async #resume(id: RunId): Promise<RunRecord> {
    this.#engine.requireUsable();
    const state = this.#engine.openRun(id);
    if (state === undefined) {
      const ended = await this.#readRun(id);
      if (ended?.record.admission === "admitted") return ended.record;
      throw notAdmittedYet(id.run);
    }
    if (state.record.admission === "pending") {
      const answer = this.#wait(state);
      if (state.stored.granted) this.#start(state);
      await this.#engine.commit();
      return answer;
    }
    await this.#engine.commit();
    return state.committed ?? state.record;
  }

  #readRun(id: RunId): Promise<StoredRun | undefined> {
    const { database, org } = this.#engine.options;
    return database.asOrg(org, (transaction) => readRun(transaction, this.#engine.sealer, id));
  }

  /** Only a withdrawn run leaves its name to another one. */
  #takeOverName(taken: StoredRun): void {
    if (taken.record.admission !== "withdrawn") throw nameTaken(taken.record.run);
    this.#engine.committer.batch.forgottenRuns.push(taken.record);
  }

  #begin(id: RunId, run: NewRun, specs: Specs, key: ProjectKey): RunState {
    const engine = this.#engine;
    const { task } = specs;
    const runSpecDigest = digestOf(run.runSpec);
    const { cluster } = engine.options;
    const bound = { id, cluster, taskSpecDigest: task.digest, runSpecDigest };
    const document = runDocumentOf(run, bound);
    const stored = newStoredRun(run, bound, specs, { digest: digestOf(document), atMs: engine.now() });
    engine.storeDocument(key, id.project, stored.record.documentDigest, document);
    engine.storeDocument(key, id.project, task.digest, run.taskSpec);
    engine.storeDocument(key, id.project, runSpecDigest, run.runSpec);
    const state = engine.addRun(stored);
    engine.committer.batch.createdRuns.add(state);
    const record = newTaskAction({
      id: { ...id, action: rootAction },
      parent: "",
      group: "",
      inputUri: run.inputUri,
      createdBy: run.createdBy,
      task,
      atMs: stored.record.createdAtMs,
      bucket: engine.options.bucket,
    });
    const root = { record, depth: 0, retry: task.retry, notBeforeMs: 0, updatedAtMs: record.createdAtMs };
    engine.addAction(new ActionState(state, undefined, root));
    this.#rememberRepeat(run.repeatKey, id, stored.record.createdAtMs);
    return state;
  }

  #rememberRepeat(key: string | undefined, run: RunId, createdAtMs: number): void {
    if (key === undefined) return;
    const repeat = { key, run, createdAtMs };
    this.#engine.repeats.add(repeat);
    this.#engine.committer.batch.repeatKeys.push(repeat);
  }

  #wait(state: RunState): Promise<RunRecord> {
    const answer = Promise.withResolvers<RunRecord>();
    answer.promise.catch(() => undefined);
    const waiters = this.#waiters.get(state.key) ?? new Set();
    this.#waiters.set(state.key, waiters);
    const timer = setTimeout(() => {
      waiters.delete(waiter);
      if (waiters.size === 0) this.#waiters.delete(state.key);
      answer.reject(notAdmittedYet(state.record.run));
    }, limits.admissionWaitMs);
    const waiter = { answer, timer };
    waiters.add(waiter);
    return answer.promise;
  }

  #start(state: RunState): void {
    const engine = this.#engine;
    engine.changeRun(state, { granted: true, record: { ...state.record, admission: "admitted" } });
    const root = state.actions.get(rootAction)!;
    engine.announce(root);
    if (root.isWaiting) engine.makeReady(root);
    this.#answer(state, ({ resolve }) => resolve(state.committed ?? state.record));
  }

  #refuse(state: RunState, outcome: AdmissionOutcome): void {
    this.#forgetRepeat(state);
    this.#engine.runs.delete(state.key);
    this.#engine.committer.batch.forgottenRuns.push(state.record);
    this.#answer(state, ({ reject }) => reject(admissionRefused(state.record, outcome)));
  }

  #withdraw(state: RunState): void {
    const engine = this.#engine;
    this.#forgetRepeat(state);
    engine.changeRun(state, { record: { ...state.record, admission: "withdrawn" } });
    const root = state.actions.get(rootAction)!;
    engine.changeAction(root, aborted(root.record, engine.now(), withdrawal));
    engine.committer.batch.withdrawnRuns.push(state.record);
  }

  #forgetRepeat({ stored }: RunState): void {
    if (stored.repeatKey === undefined) return;
    this.#engine.repeats.delete(stored.repeatKey);
    this.#engine.committer.batch.forgottenRepeatKeys.push(stored.repeatKey);
  }

  /** Takes those who wait at the moment; they are answered once the decision is on disk. */
  #answer(state: RunState, tell: (answer: PromiseWithResolvers<RunRecord>) => void): void {
    const waiters = this.#waiters.get(state.key) ?? [];
    this.#waiters.delete(state.key);
    for (const { timer } of waiters) clearTimeout(timer);
    const group = this.#engine.commit();
    group.then(
      () => {
        for (const { answer } of waiters) tell(answer);
      },
      (error: unknown) => {
        for (const { answer } of waiters) answer.reject(error);
      },
    );
  }
}

const withdrawal = { reason: "It was not admitted in time.", by: "biplane" } as const;

function newStoredRun(
  run: NewRun,
  { id, taskSpecDigest, runSpecDigest }: Bound,
  { task, run: { labels, actionConcurrencyMax } }: Specs,
  { digest, atMs }: { readonly digest: Digest; readonly atMs: number },
): StoredRun {
  return {
    record: {
      ...id,
      admission: "pending",
      documentDigest: digest,
      phase: Phase.QUEUED,
      createdBy: run.createdBy,
      createdAtMs: atMs,
      startedAtMs: undefined,
      endedAtMs: undefined,
      taskName: task.name,
      taskVersion: task.version,
      labels,
      source: run.source,
    },
    granted: false,
    fence: 0n,
    taskSpecDigest,
    runSpecDigest,
    inputUri: run.inputUri,
    pins: run.pins,
    runStartTimeMs: run.runStartTimeMs,
    repeatKey: run.repeatKey,
    actionConcurrencyMax,
    failureCode: undefined,
    failureKind: undefined,
    updatedAtMs: atMs,
  };
}
