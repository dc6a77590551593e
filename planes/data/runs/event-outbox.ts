/** What goes up over the link, in order and numbered per incarnation (rule of state 8). */
import { BiplaneError } from "@biplane/base";
import type { AdmissionOutcome, Event, RunRef } from "@biplane/control-wire";
import { readEvents } from "../store/outbox-rows.ts";
import type { RunCreation } from "./creation.ts";
import type { Engine } from "./engine.ts";
import { writeSnapshot } from "./snapshot.ts";
import type { Outbox } from "./types.ts";

export class EventOutbox implements Outbox {
  readonly #engine: Engine;
  readonly #creation: RunCreation;

  constructor(engine: Engine, creation: RunCreation) {
    this.#engine = engine;
    this.#creation = creation;
  }

  get incarnation(): string {
    return this.#engine.incarnation;
  }

  lastSequence(): bigint {
    return this.#engine.lastSequence;
  }

  acknowledgedSequence(): bigint {
    return this.#engine.acknowledged;
  }

  async read(after: bigint, limit: number): Promise<readonly Event[]> {
    if (after >= this.#engine.lastSequence || limit <= 0) return [];
    const recent = this.#engine.recentEvents.after(after, limit);
    if (recent !== undefined) return recent;
    const { database, org } = this.#engine.options;
    return database.asOrg(org, (transaction) => readEvents(transaction, org, after, limit));
  }

  async wait(after: bigint, signal: AbortSignal): Promise<void> {
    while (this.#engine.lastSequence <= after && !signal.aborted) {
      // Resolving here would let a caller that asks again and again spin.
      if (this.#engine.isClosed) throw new BiplaneError("unavailable", "The data plane is shutting down.");
      await this.#engine.outboxChanged.wait(signal);
    }
  }

  async acknowledge(
    cursor: bigint,
    admissions: readonly { run: RunRef; outcome: AdmissionOutcome }[],
  ): Promise<void> {
    const engine = this.#engine;
    engine.requireUsable();
    if (cursor > engine.lastSequence) throw unknownCursor(cursor, engine.lastSequence);
    for (const { run, outcome } of admissions) this.#creation.admit(run, outcome, cursor);
    const { batch } = engine.committer;
    if (cursor > (batch.acknowledged ?? engine.acknowledged)) batch.acknowledged = cursor;
    if (engine.committer.hasChanges) await engine.commit();
  }

  async appendSnapshot(): Promise<void> {
    await this.#engine.committer.exclusively(async () => {
      this.#engine.lastSequence = await writeSnapshot(this.#engine);
      // They are consecutive; the snapshot's own events are only in the database.
      this.#engine.recentEvents.clear();
    });
    this.#engine.outboxChanged.notify();
  }
}

function unknownCursor(cursor: bigint, last: bigint): BiplaneError {
  return new BiplaneError("failed_precondition", {
    what: `The control plane acknowledged event ${cursor}, but there are ${last}.`,
    why: "This data plane's database is older than what it once sent: it was restored without being told so.",
    next: "Begin a new incarnation of the data plane.",
  });
}
