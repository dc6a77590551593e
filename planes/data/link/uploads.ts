/**
 * Sends the outbox: in order, from where the control plane is, with a bounded number of batches that were not
 * acknowledged. What the outbox no longer has is made good by a full snapshot (rule of state 8).
 */
import { BiplaneError, limits } from "@biplane/base";
import { type ConnectRequest, type Event, EventBatchSchema, type Welcome } from "@biplane/control-wire";
import { create } from "@bufbuild/protobuf";
import type { Outbox } from "../runs/types.ts";

export type SendUp = (message: ConnectRequest["message"]) => Promise<boolean>;

export class Uploads {
  readonly #outbox: Outbox;
  readonly #send: SendUp;
  readonly #signal: AbortSignal;
  /** Last sequences of the batches under way. */
  readonly #inFlight: bigint[] = [];
  #wake: (() => void) | undefined;
  #sent = 0n;

  constructor(outbox: Outbox, send: SendUp, signal: AbortSignal) {
    this.#outbox = outbox;
    this.#send = send;
    this.#signal = signal;
    signal.addEventListener("abort", () => this.#wake?.(), { once: true });
  }

  /** Runs until the signal aborts. */
  async run(welcome: Welcome): Promise<void> {
    this.#sent = welcome.cursor;
    if (welcome.snapshotWanted) await this.#sendSnapshot();
    while (!this.#signal.aborted) {
      await this.#waitForRoom();
      const events = await this.#outbox.read(this.#sent, limits.linkBatchEventsMax);
      if (this.#signal.aborted) return;
      if (this.#isGap(events)) await this.#sendSnapshot();
      else if (events.length > 0) await this.#sendBatch(events);
      else await this.#outbox.wait(this.#sent, this.#signal);
    }
  }

  /** Nothing can be on record over there that was not sent: such an acknowledgement would make this end forget it. */
  requireSent(cursor: bigint): void {
    if (cursor > this.#sent) throw neverSent();
  }

  acknowledged(cursor: bigint): void {
    while (this.#inFlight.length > 0 && this.#inFlight[0]! <= cursor) this.#inFlight.shift();
    this.#wake?.();
  }

  /** The control plane is further back than what is kept: it was restored from an older copy. */
  #isGap(events: readonly Event[]): boolean {
    const [first] = events;
    return first === undefined
      ? this.#outbox.lastSequence() > this.#sent
      : first.sequence !== this.#sent + 1n;
  }

  /** Goes on at the snapshot's beginning; what lies before it is in the snapshot. */
  async #sendSnapshot(): Promise<void> {
    let after = this.#outbox.lastSequence();
    await this.#outbox.appendSnapshot();
    while (!this.#signal.aborted) {
      const events = await this.#outbox.read(after, limits.linkBatchEventsMax);
      const begin = events.find((event) => event.change.case === "snapshotBegin");
      if (begin !== undefined) {
        this.#sent = begin.sequence - 1n;
        return;
      }
      const last = events.at(-1);
      if (last === undefined) await this.#outbox.wait(after, this.#signal);
      else after = last.sequence;
    }
  }

  async #sendBatch(events: readonly Event[]): Promise<void> {
    const last = events.at(-1)!.sequence;
    this.#inFlight.push(last);
    this.#sent = last;
    const value = create(EventBatchSchema, { incarnation: this.#outbox.incarnation, events: [...events] });
    await this.#send({ case: "events", value });
  }

  async #waitForRoom(): Promise<void> {
    while (this.#inFlight.length >= limits.linkBatchesInFlightMax && !this.#signal.aborted) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}

export function neverSent(): BiplaneError {
  return new BiplaneError(
    "failed_precondition",
    "The control plane claims to know events that were never sent to it.",
    { reason: "never_sent" },
  );
}
