/** Slows guessing down: so many failures per name and in all within a window, then no more tries until it has passed. */
import { BiplaneError, minute } from "@biplane/base";
import type { Clock } from "@biplane/kit/clock";

const windowMs = 15 * minute;
const failuresPerNameMax = 10;
const namesMax = 10_000;
/** A slow hash takes memory: more than this at once is refused, so that sign-ins can't exhaust the plane. */
const checksAtOnceMax = 4;
const checksWaitingMax = 32;

export class AttemptLimiter {
  readonly #clock: Clock;
  readonly #failures = new Map<string, { count: number; endsAtMs: number }>();
  #running = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Runs the check unless the name has failed too often; `check` resolves to undefined for a failure. */
  async attempt<T>(name: string, check: () => Promise<T | undefined>): Promise<T | undefined> {
    const now = this.#clock.now();
    const known = this.#failures.get(name);
    if (known !== undefined && known.endsAtMs > now && known.count >= failuresPerNameMax) throw tooMany();
    await this.#enter();
    try {
      const result = await check();
      if (result === undefined) this.#countFailure(name, now);
      else this.#failures.delete(name);
      return result;
    } finally {
      this.#leave();
    }
  }

  async #enter(): Promise<void> {
    if (this.#running < checksAtOnceMax) {
      this.#running += 1;
      return;
    }
    if (this.#waiting.length >= checksWaitingMax) throw tooMany();
    // The place is handed over by `#leave`, so `#running` stays.
    await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  #leave(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#running -= 1;
    else next();
  }

  #countFailure(name: string, now: number): void {
    const known = this.#failures.get(name);
    if (known !== undefined && known.endsAtMs > now) {
      known.count += 1;
      return;
    }
    if (this.#failures.size >= namesMax) this.#failures.delete(this.#failures.keys().next().value!);
    this.#failures.set(name, { count: 1, endsAtMs: now + windowMs });
  }
}

function tooMany(): BiplaneError {
  return new BiplaneError(
    "resource_exhausted",
    { what: "Too many failed attempts.", next: "Wait 15 minutes, then try again." },
    { reason: "too_many_attempts" },
  );
}
