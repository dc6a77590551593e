/**
 * Applies what a cluster sent: events in their order, answers to intents, all that came together in one
 * transaction. An event is applied once: cursor + 1 goes on, what is older was applied already, a gap is refused.
 */
import { BiplaneError } from "@biplane/base";
import type { Event, EventBatch, Intent, IntentAnswer } from "@biplane/control-wire";
import { dueIntentsOf, recordAnswers } from "../placing/intents.ts";
import { type AdmissionContext, admitRuns, type Request, type Verdict } from "../runs/admit.ts";
import { Changes, writeChanges } from "../runs/changes.ts";
import { runKey, toMs } from "../runs/rows.ts";
import { closeSnapshot } from "../runs/snapshots.ts";
import { withdrawRun } from "../runs/withdraw.ts";
import type { Store } from "../store/open.ts";
import { advancePosition, explainMoved, type Position, supersedeOthers } from "./positions.ts";

export type Upward =
  | { readonly kind: "events"; readonly batch: EventBatch }
  | { readonly kind: "intent_answer"; readonly answer: IntentAnswer };

export interface Source {
  readonly store: Store;
  readonly org: string;
  readonly cluster: string;
}

export interface Applied {
  readonly position: Position;
  readonly batchCount: number;
  readonly verdicts: readonly Verdict[];
  /** To be sent, each after the acknowledgement of its run. */
  readonly intents: readonly Intent[];
}

/** Resolves when everything is on disk. Throws without having changed anything, also where it was not `recorded`. */
export function applyGroup(
  source: Source,
  from: Position,
  group: readonly Upward[],
  nowMs: number,
  recorded: Promise<void>,
): Promise<Applied> {
  const { store, org, cluster } = source;
  const applied = store.asOrg(org, async (transaction) => {
    const applying = new Applying({
      store,
      transaction,
      org,
      cluster,
      incarnation: from.incarnation,
      position: from,
      nowMs,
    });
    const scope = { store, transaction, org, cluster, nowMs };
    // Answers are to what was sent before this group: they come first, so that no event overtakes them.
    const answers = group.flatMap((item) => (item.kind === "intent_answer" ? [item.answer] : []));
    const again = await recordAnswers(scope, answers);
    for (const item of group) if (item.kind === "events") await applying.addBatch(item.batch);
    await applying.flush();
    const { position, asOfMs, verdicts } = applying;
    if (position !== from) await advancePosition(transaction, org, cluster, from, position, asOfMs);
    const admitted = verdicts.flatMap(({ intent }) => (intent === undefined ? [] : [intent]));
    const batchCount = group.filter((item) => item.kind === "events").length;
    const intents = [...admitted, ...(await dueIntentsOf(scope, again))];
    await recorded;
    return { position, batchCount, verdicts, intents };
  });
  return applied.catch((error: unknown) => {
    throw explainMoved(error);
  });
}

type Begin = Omit<AdmissionContext, "seenIn"> & { readonly position: Position };

/** Collects changes and writes them before everything that depends on their order. */
class Applying {
  readonly #begin: Begin;
  readonly verdicts: Verdict[] = [];
  position: Position;
  asOfMs: number | undefined;
  #requests: Request[] = [];
  #changes = new Changes();

  constructor(begin: Begin) {
    this.#begin = begin;
    this.position = begin.position;
  }

  async addBatch(batch: EventBatch): Promise<void> {
    if (batch.incarnation !== this.position.incarnation) throw foreignIncarnation();
    for (const event of batch.events) {
      const sequence = Number(event.sequence);
      if (sequence <= this.position.cursor) continue;
      this.#checkOrder(event, sequence);
      await this.#add(event, sequence);
      this.position = { ...this.position, cursor: sequence };
      this.asOfMs = toMs(event.occurredAt) ?? this.asOfMs;
    }
  }

  async flush(): Promise<void> {
    const requests = this.#requests;
    const changes = this.#changes;
    this.#requests = [];
    this.#changes = new Changes();
    this.verdicts.push(...(await admitRuns(this.#context(), requests)));
    await writeChanges(this.#context(), changes, this.position.state === "open");
  }

  #context(): AdmissionContext {
    return { ...this.#begin, seenIn: this.position.snapshot };
  }

  /** A snapshot begins anywhere: what it does not repeat is gone, so no gap before it matters. */
  #checkOrder(event: Event, sequence: number): void {
    if (event.change.case === "snapshotBegin") return;
    if (this.position.state === "wanted") throw snapshotMissing(sequence);
    if (sequence !== this.position.cursor + 1) throw gap(this.position.cursor, sequence);
  }

  async #add(event: Event, sequence: number): Promise<void> {
    const { change } = event;
    switch (change.case) {
      case "runCreated":
        this.#requests.push({ sequence, run: change.value });
        return;
      case "runUpdated":
        this.#changes.addRun(change.value);
        return;
      case "actionUpdated":
        this.#changes.addAction(change.value);
        return;
      case "attemptUpdated":
        this.#changes.addAttempt(change.value);
        return;
      case "taskDeployed":
        this.#changes.tasks.push(change.value);
        return;
      case "runWithdrawn":
        await this.flush();
        return withdrawRun(this.#context(), runKey(change.value));
      case "snapshotBegin":
        return this.#beginSnapshot(sequence);
      case "snapshotEnd":
        return this.#endSnapshot(event);
      case undefined:
        throw new BiplaneError("invalid_argument", `Event ${sequence} says nothing.`, {
          reason: "empty_event",
        });
    }
  }

  async #beginSnapshot(sequence: number): Promise<void> {
    await this.flush();
    const { transaction, org, cluster, incarnation } = this.#begin;
    await supersedeOthers(transaction, org, cluster, incarnation);
    this.position = { ...this.position, state: "open", snapshot: `${incarnation}:${sequence}` };
  }

  async #endSnapshot(event: Event): Promise<void> {
    await this.flush();
    if (this.position.state !== "open") return;
    await closeSnapshot(this.#context(), toMs(event.occurredAt) ?? this.#begin.nowMs);
    this.position = { ...this.position, state: "current" };
  }
}

function foreignIncarnation(): BiplaneError {
  return new BiplaneError("invalid_argument", "A batch belongs to another incarnation than its hello.", {
    reason: "foreign_incarnation",
  });
}

function gap(cursor: number, sequence: number): BiplaneError {
  return new BiplaneError(
    "failed_precondition",
    {
      what: `Event ${sequence} can't be applied.`,
      why: `Everything up to event ${cursor} is on record, and what lies between is missing.`,
      next: "Connect again and send from the cursor that the welcome names, or a full snapshot.",
    },
    { reason: "sequence_gap" },
  );
}

function snapshotMissing(sequence: number): BiplaneError {
  return new BiplaneError(
    "failed_precondition",
    {
      what: `Event ${sequence} can't be applied.`,
      why: "This incarnation is new to the control plane, so that it needs a full snapshot first.",
      next: "Send a snapshot.",
    },
    { reason: "snapshot_wanted" },
  );
}
