/**
 * The heart of the runs module: open runs in memory, one place where decisions are recorded, one where they are
 * committed. Decisions are taken synchronously, so that no two of them interleave; the modules beside this one take them.
 */
import { BiplaneError, type ClusterId, type Digest, type OrgId, type RunId } from "@biplane/base";
import { type Event, isTerminal } from "@biplane/control-wire";
import type { Clock } from "@biplane/kit/clock";
import type { Key } from "@biplane/kit/crypto";
import type { Database } from "@biplane/kit/database";
import type { Logger } from "@biplane/kit/logging";
import type { ProjectKey, ScopedKeys } from "../keys/types.ts";
import { documentName } from "../store/document-rows.ts";
import type { UsedNonce } from "../store/key-rows.ts";
import { ProjectSealer } from "../store/project-sealing.ts";
import type { StoredRun } from "../store/run-rows.ts";
import type { DataSchema } from "../store/schema.ts";
import { Sealer } from "../store/sealing.ts";
import { type Batch, isEmptyBatch, newBatch } from "./batch.ts";
import { type FrozenBatch, freeze, writeBatch } from "./batch-writer.ts";
import { describeCommitFailure, withReadableFailures } from "./commit-failure.ts";
import { Committer } from "./committer.ts";
import { Documents } from "./documents.ts";
import { WatchHub } from "./hub.ts";
import { Leases } from "./leases.ts";
import { type Loaded, loadOpenRuns } from "./loading.ts";
import { projectedCode } from "./projection.ts";
import { ReadyQueue } from "./ready-queue.ts";
import { RecentEvents } from "./recent-events.ts";
import { recover } from "./recovery.ts";
import { RepeatKeys } from "./repeat-keys.ts";
import { parseRunRef } from "./run-ref.ts";
import { Signal } from "./signal.ts";
import { TaskSummaries } from "./specs.ts";
import { type ActionState, RunState, runKey } from "./state.ts";
import { Texts } from "./texts.ts";
import type { ActionRecord, AttemptRecord } from "./types.ts";

export interface EngineOptions {
  readonly database: Database<DataSchema>;
  readonly org: OrgId;
  readonly cluster: ClusterId;
  /** Root of the keys of this module's sealed columns: names, URIs and whatever the queue needs. */
  readonly keys: Key;
  /** Protect documents and texts. */
  readonly projectKeys: ScopedKeys;
  readonly bucket: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** Told of everything that was committed, in order. */
  readonly onEvents?: (events: readonly Event[]) => void;
}

export class Engine {
  readonly options: EngineOptions;
  readonly sealer: Sealer;
  readonly documents: Documents;
  readonly texts: Texts;
  readonly summaries = new TaskSummaries();
  readonly hub = new WatchHub();
  readonly leases = new Leases();
  readonly repeats = new RepeatKeys();
  readonly recentEvents = new RecentEvents();
  readonly nonces = new Map<string, UsedNonce>();
  /** Something may have become ready to lease. */
  readonly readyChanged = new Signal();
  /** The outbox has grown. */
  readonly outboxChanged = new Signal();
  readonly committer: Committer<Batch>;
  runs = new Map<string, RunState>();
  ready = new ReadyQueue();
  incarnation = "";
  acknowledged = 0n;
  /** Of committed events. */
  lastSequence = 0n;
  /** As it was given: why a write failed decides what its callers are told. */
  readonly #database: Database<DataSchema>;
  #closed = false;

  constructor(options: EngineOptions) {
    this.#database = options.database;
    this.options = { ...options, database: withReadableFailures(options.database) };
    this.sealer = new Sealer(options.keys, options.org);
    const projectSealer = new ProjectSealer(options.projectKeys, options.org);
    this.documents = new Documents(this.options.database, projectSealer, options.org);
    this.texts = new Texts(projectSealer);
    this.committer = new Committer<Batch>({
      newBatch,
      isEmpty: isEmptyBatch,
      write: (batch) => this.#write(batch),
      recover: (error) => recover(this, error),
      failure: describeCommitFailure,
    });
  }

  now(): number {
    return this.options.clock.now();
  }

  get isClosed(): boolean {
    return this.#closed;
  }

  get isUsable(): boolean {
    return !this.#closed && this.committer.isUsable;
  }

  /** Call before deciding anything: memory may not be what is on disk at the moment. */
  requireUsable(): void {
    if (!this.isUsable) {
      throw new BiplaneError("unavailable", {
        what: "The data plane's database is not available.",
        why: this.#closed ? "It is shutting down." : "A write failed and its state is being read again.",
        next: "Repeat the request.",
      });
    }
  }

  openRun(id: RunId): RunState | undefined {
    return this.runs.get(runKey(id));
  }

  addRun(stored: StoredRun): RunState {
    const run = new RunState(stored);
    this.runs.set(run.key, run);
    this.committer.batch.runs.add(run);
    return run;
  }

  changeRun(run: RunState, change: Partial<StoredRun>): void {
    run.stored = { ...run.stored, ...change, updatedAtMs: this.now() };
    this.committer.batch.runs.add(run);
  }

  /** A new action; its record is written by the next transaction. */
  addAction(action: ActionState): void {
    this.#touch(action);
    if (action.isWaiting) this.makeReady(action);
  }

  /** Terminal states never change (rule of state 6): a change of one is a bug, not an outcome. */
  changeAction(action: ActionState, record: ActionRecord, notBeforeMs = 0): void {
    if (!action.isOpen) throw new BiplaneError("internal", "An ended action would have been changed.");
    const before = action.record.attempts;
    action.record = record;
    action.notBeforeMs = notBeforeMs;
    action.updatedAtMs = this.now();
    this.#touch(action, before);
    if (action.parent === undefined) this.#mirrorRoot(action);
    if (action.isWaiting) this.makeReady(action);
    // An ended or waiting action may have made room for another one of its run.
    else this.readyChanged.notify();
  }

  /** Tells the control plane of an action that did not change, but that it may know of now. */
  announce(action: ActionState): void {
    this.#touch(action);
  }

  makeReady(action: ActionState): void {
    this.ready.add(action, this.now());
    this.readyChanged.notify();
  }

  /** Sealed at once, so that the key need not be kept until the transaction. */
  storeDocument(key: ProjectKey, project: string, digest: Digest, content: Uint8Array): void {
    const { documents } = this.committer.batch;
    const name = documentName(project, digest);
    if (this.documents.isKnown(key, project, digest) || documents.has(name)) return;
    documents.set(name, this.documents.seal(key, project, digest, content));
  }

  commit(): Promise<void> {
    return this.committer.commit();
  }

  async load(): Promise<Loaded> {
    const loaded = await loadOpenRuns({ ...this.options, sealer: this.sealer });
    this.runs = new Map(loaded.runs.map((run) => [run.key, run]));
    this.ready = new ReadyQueue();
    this.recentEvents.clear();
    this.repeats.load(loaded.repeats);
    this.nonces.clear();
    for (const nonce of loaded.nonces) this.nonces.set(nonce.nonce, nonce);
    this.incarnation = loaded.incarnation?.id ?? "";
    this.acknowledged = loaded.incarnation?.acknowledged ?? 0n;
    this.lastSequence = loaded.incarnation?.lastSequence ?? 0n;
    for (const run of loaded.runs) {
      for (const action of run.actions.values()) if (action.isWaiting) this.ready.add(action, this.now());
    }
    return loaded;
  }

  async close(): Promise<void> {
    await this.committer.settle();
    this.#closed = true;
    this.readyChanged.notify();
    this.outboxChanged.notify();
    await this.committer.settle();
  }

  /** Records are immutable: an attempt that changed is another object than the one before. */
  #touch(action: ActionState, before: readonly AttemptRecord[] = []): void {
    const { actions } = this.committer.batch;
    const changed = actions.get(action) ?? new Set();
    for (const [index, attempt] of action.record.attempts.entries()) {
      if (attempt !== before[index]) changed.add(attempt.attempt);
    }
    actions.set(action, changed);
  }

  /** A run's phase and times are those of its root action. */
  #mirrorRoot({ run, record }: ActionState): void {
    const { phase, startedAtMs, failure } = record;
    const endedAtMs = isTerminal(phase) ? record.endedAtMs : undefined;
    this.changeRun(run, {
      record: { ...run.record, phase, startedAtMs, endedAtMs },
      failureCode: failure === undefined ? undefined : projectedCode(failure.code),
      failureKind: failure?.kind,
    });
  }

  async #write(batch: Batch): Promise<void> {
    const { cluster } = this.options;
    const frozen = freeze(batch, cluster, this.lastSequence, this.now());
    const { org } = this.options;
    await writeBatch({ database: this.#database, sealer: this.sealer, org, cluster }, batch, frozen);
    this.#committed(batch, frozen);
  }

  #committed(batch: Batch, frozen: FrozenBatch): void {
    // Leases are held before their end is looked for: both may be in one batch.
    for (const run of batch.afterCommit) run();
    for (const document of batch.documents.values()) this.documents.remember(document);
    this.lastSequence += BigInt(frozen.events.length);
    this.recentEvents.append(frozen.events);
    if (batch.acknowledged !== undefined) this.acknowledged = batch.acknowledged;
    for (const { state, stored } of frozen.runs) state.committed = stored.record;
    for (const { sequence, change } of frozen.events) {
      const created = change.case === "runCreated" ? parseRunRef(change.value.run) : undefined;
      const state = created === undefined ? undefined : this.openRun(created);
      if (state !== undefined) state.createdSequence = sequence;
    }
    for (const { state, stored } of frozen.actions) {
      state.run.counts.move(stored.record.taskName, state.committed?.phase, stored.record.phase);
      state.committed = stored.record;
      this.leases.endFinished(stored.record);
    }
    for (const { stored } of frozen.actions) this.hub.publishAction(stored.record);
    for (const { state, stored } of frozen.runs) {
      this.hub.publishRun(stored.record);
      if (stored.record.endedAtMs !== undefined && this.runs.get(state.key) === state)
        this.runs.delete(state.key);
    }
    if (frozen.events.length === 0) return;
    this.outboxChanged.notify();
    this.options.onEvents?.(frozen.events);
  }
}
