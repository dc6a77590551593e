/**
 * Leases taken before there is a slot for them, several by one transaction: small tasks end faster than a lease is
 * written, and slots would be idle meanwhile. Only as many as have their turn within moments, and given back where the
 * tasks before them take longer than the last ones did.
 */
import type { ActionQueue, Lease } from "../runs/types.ts";
import type { Slots } from "./slots.ts";

const aheadMs = 40;
const aheadMax = 16;
const keptMsMax = 250;

export interface HandedLease {
  readonly lease: Lease;
  /** It waited here, so that it begins later than its lease says. */
  readonly waited: boolean;
}

export class LeasesAhead {
  readonly #queue: Pick<ActionQueue, "lease" | "leaseReady" | "giveBack">;
  readonly #slots: Slots;
  readonly #waiting = new Set<Lease>();
  #taking: Promise<void> | undefined;
  #closed = false;

  constructor(queue: Pick<ActionQueue, "lease" | "leaseReady" | "giveBack">, slots: Slots) {
    this.#queue = queue;
    this.#slots = slots;
  }

  /** For a slot that is free. One caller at a time. Undefined once aborted. */
  async next(signal: AbortSignal): Promise<HandedLease | undefined> {
    while (!signal.aborted) {
      for (const lease of this.#waiting) {
        this.#waiting.delete(lease);
        this.#takeAhead();
        return { lease, waited: true };
      }
      if (this.#taking !== undefined) await this.#taking;
      else return this.#wait(signal);
    }
    return undefined;
  }

  /** What has not begun waits for whoever executes next. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#taking;
    this.#giveBack([...this.#waiting]);
  }

  async #wait(signal: AbortSignal): Promise<HandedLease | undefined> {
    const lease = await this.#queue.lease(signal);
    if (lease === undefined) return undefined;
    this.#takeAhead();
    return { lease, waited: false };
  }

  /** Half of them at a time, so that the next ones are here before the last one is gone. */
  #takeAhead(): void {
    const wanted = Math.min(aheadMax, this.#slots.takersWithin(aheadMs));
    if (this.#taking !== undefined || this.#closed || this.#waiting.size > wanted / 2) return;
    const missing = wanted - this.#waiting.size;
    if (missing <= 0) return;
    this.#taking = this.#take(missing).finally(() => {
      this.#taking = undefined;
    });
  }

  async #take(count: number): Promise<void> {
    // A transaction that failed gives back by itself what it would have leased.
    const leases = await this.#queue.leaseReady(count).catch(() => []);
    for (const lease of leases) this.#waiting.add(lease);
    if (this.#closed) this.#giveBack(leases);
    else if (leases.length > 0) setTimeout(() => this.#giveBack(leases), keptMsMax).unref();
  }

  #giveBack(leases: readonly Lease[]): void {
    for (const lease of leases) if (this.#waiting.delete(lease)) this.#queue.giveBack(lease);
  }
}
