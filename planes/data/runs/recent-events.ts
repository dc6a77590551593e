/** The newest committed events in memory, a bounded number of them: the link reads each a moment after its commit. */
import type { Event } from "@biplane/control-wire";

const eventsMax = 8_192;

export class RecentEvents {
  /** Consecutive sequences. */
  #events: Event[] = [];

  append(events: readonly Event[]): void {
    this.#events.push(...events);
    // Twice the bound before anything moves keeps appending cheap.
    if (this.#events.length > 2 * eventsMax) this.#events = this.#events.slice(-eventsMax);
  }

  clear(): void {
    this.#events = [];
  }

  /** Undefined where the sequence is older than what is kept. */
  after(sequence: bigint, limit: number): readonly Event[] | undefined {
    const first = this.#events[0]?.sequence;
    if (first === undefined || sequence + 1n < first) return undefined;
    const start = Number(sequence + 1n - first);
    return this.#events.slice(start, start + limit);
  }
}
