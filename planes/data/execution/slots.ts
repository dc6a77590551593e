/**
 * How many tasks may use the processors at once. A task that only waits for sub-actions gives its slot away and takes
 * it back without asking: it runs already, and new ones wait until there is room again.
 */

/** Share of the newest in the average: a change of pace shows within a few tasks. */
const newestShare = 0.25;

export class Slots {
  readonly #count: number;
  #taken = 0;
  #heldMs: number | undefined;
  readonly #waiting: (() => void)[] = [];

  constructor(count: number) {
    this.#count = count;
  }

  get taken(): number {
    return this.#taken;
  }

  /** How many takers found one within the time, going by how long the last ones kept theirs. 0: nobody knows. */
  takersWithin(ms: number): number {
    return this.#heldMs === undefined ? 0 : Math.floor((this.#count * ms) / Math.max(1, this.#heldMs));
  }

  noteHeld(ms: number): void {
    this.#heldMs = this.#heldMs === undefined ? ms : this.#heldMs + (ms - this.#heldMs) * newestShare;
  }

  /** Resolves when one is free; the caller holds it then. False where the signal aborted first. */
  async acquire(signal: AbortSignal): Promise<boolean> {
    while (this.#taken >= this.#count) {
      if (signal.aborted) return false;
      await this.#freed(signal);
    }
    if (signal.aborted) return false;
    this.#taken += 1;
    return true;
  }

  takeBack(): void {
    this.#taken += 1;
  }

  release(): void {
    this.#taken -= 1;
    if (this.#taken < this.#count) this.#waiting.shift()?.();
  }

  #freed(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        signal.removeEventListener("abort", wake);
        resolve();
      };
      signal.addEventListener("abort", wake, { once: true });
      this.#waiting.push(wake);
    });
  }
}

/** One task's slot: given away and taken back any number of times, released once for good. */
export class HeldSlot {
  readonly #slots: Slots;
  #state: "held" | "lent" | "released" = "held";
  #sinceMs = performance.now();

  constructor(slots: Slots) {
    this.#slots = slots;
  }

  setWaiting(waiting: boolean): void {
    if (waiting && this.#state === "held") {
      this.#state = "lent";
      this.#release();
    } else if (!waiting && this.#state === "lent") {
      this.#state = "held";
      this.#sinceMs = performance.now();
      this.#slots.takeBack();
    }
  }

  release(): void {
    if (this.#state === "held") this.#release();
    this.#state = "released";
  }

  #release(): void {
    this.#slots.noteHeld(performance.now() - this.#sinceMs);
    this.#slots.release();
  }
}
