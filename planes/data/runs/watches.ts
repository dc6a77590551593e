/** Watches: the present state first, then each change as it is committed, until the end of what is watched. */
import type { ActionId, ActionName, ProjectDomain, RunId } from "@biplane/base";
import type { Phase } from "@biplane/control-wire";
import { isTerminal } from "@biplane/control-wire";
import { sleep } from "@biplane/kit/backoff";
import type { Engine } from "./engine.ts";
import type { Lists } from "./lists.ts";
import { Mailbox } from "./mailbox.ts";
import { PhaseCounts } from "./phase-counts.ts";
import type { Reads } from "./reads.ts";
import type { ActionRecord, ChildrenUpdate, PhaseCount, RunRecord } from "./types.ts";

/** Records in one message of a watch. */
const updateRecordsMax = 1_000;
const progressIntervalMs = 100;
const newestRunsMax = 100;

export class Watches {
  readonly #engine: Engine;
  readonly #reads: Reads;
  readonly #lists: Lists;

  constructor(engine: Engine, reads: Reads, lists: Lists) {
    this.#engine = engine;
    this.#reads = reads;
    this.#lists = lists;
  }

  async *run(id: RunId, signal: AbortSignal): AsyncGenerator<RunRecord> {
    const mailbox = new Mailbox<RunRecord>();
    const stop = this.#engine.hub.onRun(id, (record) => mailbox.put("run", record));
    try {
      let record: RunRecord | undefined = await this.#reads.run(id);
      while (record !== undefined) {
        yield record;
        if (record.endedAtMs !== undefined) return;
        [record] = await mailbox.take(1, signal);
      }
    } finally {
      stop();
    }
  }

  async *action(id: ActionId, signal: AbortSignal): AsyncGenerator<ActionRecord> {
    const mailbox = new Mailbox<ActionRecord>();
    const { hub } = this.#engine;
    const stop = hub.onActions(id, `action:${id.action}`, (record) => mailbox.put("action", record));
    try {
      let record: ActionRecord | undefined = await this.#reads.action(id);
      while (record !== undefined) {
        yield record;
        if (isTerminal(record.phase)) return;
        [record] = await mailbox.take(1, signal);
      }
    } finally {
      stop();
    }
  }

  async *actions(id: RunId, signal: AbortSignal): AsyncGenerator<readonly ActionRecord[]> {
    const mailbox = new Mailbox<ActionRecord>();
    const stop = this.#engine.hub.onActions(id, "actions", (record) => mailbox.put(record.action, record));
    const over = this.#runEnd(id, signal);
    try {
      await this.#reads.run(id);
      yield* inChunks(await this.#reads.actions(id));
      yield* changes(mailbox, over.signal, signal);
    } finally {
      stop();
      over.stop();
    }
  }

  async *children(id: RunId, parent: ActionName, signal: AbortSignal): AsyncGenerator<ChildrenUpdate> {
    const mailbox = new Mailbox<ActionRecord>();
    const { hub } = this.#engine;
    const stop = hub.onActions(id, `children:${parent}`, (record) => mailbox.put(record.action, record));
    const over = this.#runEnd(id, signal);
    try {
      await this.#reads.action({ ...id, action: parent });
      for (const updates of inChunks(await this.#reads.actions(id, parent))) {
        yield { updates, snapshotEnd: false };
      }
      yield { updates: [], snapshotEnd: true };
      for await (const updates of changes(mailbox, over.signal, signal))
        yield { updates, snapshotEnd: false };
    } finally {
      stop();
      over.stop();
    }
  }

  /** The newest runs of the project-domain, then every one that changes. */
  async *runs(scope: ProjectDomain, signal: AbortSignal): AsyncGenerator<readonly RunRecord[]> {
    const mailbox = new Mailbox<RunRecord>();
    const stop = this.#engine.hub.onScope(`${scope.project}/${scope.domain}`, (record) => {
      if (record.admission === "admitted") mailbox.put(record.run, record);
    });
    try {
      const newest = [{ field: "created_at", ascending: false }];
      const query = { filters: [], sort: newest, limit: newestRunsMax, cursor: "" };
      yield (await this.#lists.runs(scope, query)).items;
      for (;;) {
        const changed = await mailbox.take(updateRecordsMax, signal);
        if (changed.length === 0) return;
        yield changed;
      }
    } finally {
      stop();
    }
  }

  async *progress(
    id: RunId,
    signal: AbortSignal,
  ): AsyncGenerator<{ phase: Phase; counts: readonly PhaseCount[] }> {
    const changed = new Mailbox<true>();
    const { hub } = this.#engine;
    const stops = [
      hub.onRun(id, () => changed.put("any", true)),
      hub.onActions(id, "actions", () => changed.put("any", true)),
    ];
    try {
      while (!signal.aborted) {
        const { phase } = await this.#reads.run(id);
        yield { phase, counts: await this.#counts(id) };
        if (isTerminal(phase)) return;
        await sleep(progressIntervalMs, signal);
        await changed.take(1, signal);
      }
    } finally {
      for (const stop of stops) stop();
    }
  }

  async #counts(id: RunId): Promise<readonly PhaseCount[]> {
    const open = this.#engine.openRun(id);
    if (open !== undefined) return open.counts.list();
    const counts = new PhaseCounts();
    for (const { taskName, phase } of await this.#reads.actions(id)) counts.move(taskName, undefined, phase);
    return counts.list();
  }

  /** Aborts once the run has ended, or the watcher has gone. */
  #runEnd(id: RunId, signal: AbortSignal): { readonly signal: AbortSignal; stop(): void } {
    const over = new AbortController();
    const end = () => over.abort();
    const stop = this.#engine.hub.onRun(id, ({ endedAtMs }) => {
      if (endedAtMs !== undefined) end();
    });
    signal.addEventListener("abort", end, { once: true });
    if (signal.aborted) end();
    const stopBoth = () => {
      stop();
      signal.removeEventListener("abort", end);
    };
    this.#reads.run(id).then(
      ({ endedAtMs }) => endedAtMs !== undefined && end(),
      () => end(),
    );
    return { signal: over.signal, stop: stopBoth };
  }
}

/** Each change until the run is over; then what had come before its end. */
async function* changes(
  mailbox: Mailbox<ActionRecord>,
  over: AbortSignal,
  signal: AbortSignal,
): AsyncGenerator<readonly ActionRecord[]> {
  for (;;) {
    const changed = await mailbox.take(updateRecordsMax, over);
    if (changed.length === 0) break;
    yield changed;
  }
  while (!mailbox.isEmpty && !signal.aborted) yield await mailbox.take(updateRecordsMax, signal);
}

function* inChunks<T>(records: readonly T[]): Generator<readonly T[]> {
  for (let start = 0; start < records.length; start += updateRecordsMax) {
    yield records.slice(start, start + updateRecordsMax);
  }
}
