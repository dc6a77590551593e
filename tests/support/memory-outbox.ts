/** An outbox of a data plane in memory, for tests of the link: events go in by hand, acknowledgements are noted. */
import { type AdmissionOutcome, type Event, EventSchema, type RunRef } from "@biplane/control-wire";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { Outbox } from "../../planes/data/runs/types.ts";

type Change = MessageInitShape<typeof EventSchema>["change"];

export class MemoryOutbox implements Outbox {
  readonly incarnation: string;
  readonly admissions: { run: RunRef; outcome: AdmissionOutcome }[] = [];
  readonly cursors: bigint[] = [];
  snapshots = 0;
  /** What a snapshot holds between its beginning and its end: everything so far, unless a test says otherwise. */
  snapshotOf: () => readonly Change[] = () => [...this.#changes];
  readonly #changes: Change[] = [];
  #events: Event[] = [];
  #last = 0n;
  #acknowledged = 0n;
  #waiting: (() => void)[] = [];

  constructor(incarnation = "memory") {
    this.incarnation = incarnation;
  }

  append(...changes: Change[]): void {
    this.#changes.push(...changes);
    this.#number(changes);
  }

  #number(changes: readonly Change[]): void {
    for (const change of changes) {
      this.#last += 1n;
      const fields = { sequence: this.#last, occurredAt: timestampFromMs(Date.now()), change };
      this.#events.push(create(EventSchema, fields as MessageInitShape<typeof EventSchema>));
    }
    this.#wake();
  }

  lastSequence(): bigint {
    return this.#last;
  }

  acknowledgedSequence(): bigint {
    return this.#acknowledged;
  }

  async read(after: bigint, limit: number): Promise<readonly Event[]> {
    return this.#events.filter((event) => event.sequence > after).slice(0, limit);
  }

  async wait(after: bigint, signal: AbortSignal): Promise<void> {
    while (this.#last <= after && !signal.aborted) {
      await new Promise<void>((resolve) => {
        this.#waiting.push(resolve);
        signal.addEventListener("abort", () => resolve(), { once: true });
      });
    }
  }

  async acknowledge(
    cursor: bigint,
    admissions: readonly { run: RunRef; outcome: AdmissionOutcome }[],
  ): Promise<void> {
    this.cursors.push(cursor);
    this.admissions.push(...admissions);
    if (cursor > this.#acknowledged) this.#acknowledged = cursor;
    this.#events = this.#events.filter((event) => event.sequence > this.#acknowledged);
    this.#wake();
  }

  async appendSnapshot(): Promise<void> {
    this.snapshots += 1;
    this.append({ case: "snapshotBegin", value: {} } as Change, ...this.snapshotOf(), {
      case: "snapshotEnd",
      value: {},
    } as Change);
  }

  /** Resolves when everything was acknowledged. */
  async drained(): Promise<void> {
    while (this.#acknowledged < this.#last) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}
