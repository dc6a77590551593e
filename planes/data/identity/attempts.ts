/**
 * Slows guessing down without shutting the right person out: failures are counted for a name at an address, for an
 * address, and for a name; a browser in which the person has signed in before has a count of its own.
 */
import { isIPv6 } from "node:net";
import { BiplaneError, isBiplaneError, minute } from "@biplane/base";
import type { Clock } from "@biplane/kit/clock";

/** What a failure counts against, and how many are borne. */
export interface Budget {
  readonly key: string;
  readonly failuresMax: number;
}

const windowMs = 15 * minute;
const keysMax = 100_000;
/** A slow hash takes memory: more than this at once is refused, so that sign-ins can't exhaust the plane. */
const checksAtOnceMax = 4;
const checksWaitingMax = 32;

export interface PasswordAttempt {
  readonly name: string;
  readonly address: string;
  /** Of a browser that this person has signed in with before. */
  readonly knownBrowser: string | undefined;
}

/** Strangers who fail for a name from everywhere can't use up the count of a browser that the person knows. */
export function passwordBudgets({ name, address, knownBrowser }: PasswordAttempt): readonly Budget[] {
  if (knownBrowser !== undefined) return [{ key: `browser ${knownBrowser}`, failuresMax: 10 }];
  const network = networkOf(address);
  return [
    { key: `name ${name} at ${network}`, failuresMax: 10 },
    { key: `address ${network}`, failuresMax: 30 },
    { key: `name ${name}`, failuresMax: 50 },
  ];
}

/** Whoever has one IPv6 address has the 2^64 of its network. */
function networkOf(address: string): string {
  if (!isIPv6(address) || address.startsWith("::ffff:")) return address;
  const [head = "", tail] = address.split("::");
  const groups = head.split(":").filter((group) => group !== "");
  const missing = tail === undefined ? 0 : 8 - groups.length - tail.split(":").filter(Boolean).length;
  return [...groups, ...Array<string>(Math.max(0, missing)).fill("0")].slice(0, 4).join(":");
}

export class AttemptLimiter {
  readonly #clock: Clock;
  readonly #failures = new Map<string, { count: number; endsAtMs: number }>();
  #running = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Runs the slow check unless too much has failed; `check` resolves to undefined for a failure. */
  async attempt<T>(budgets: readonly Budget[], check: () => Promise<T | undefined>): Promise<T | undefined> {
    this.require(budgets);
    await this.#enter();
    try {
      // Others of the same name may have failed while this one waited.
      this.require(budgets);
      const result = await check();
      if (result === undefined) this.countFailure(budgets);
      else this.#failures.delete(budgets[0]?.key ?? "");
      return result;
    } finally {
      this.#leave();
    }
  }

  /** Throws where one of the budgets is spent. */
  require(budgets: readonly Budget[]): void {
    if (this.isSpent(budgets)) throw tooMany();
  }

  isSpent(budgets: readonly Budget[]): boolean {
    const now = this.#clock.now();
    return budgets.some(({ key, failuresMax }) => {
      const known = this.#failures.get(key);
      return known !== undefined && known.endsAtMs > now && known.count >= failuresMax;
    });
  }

  countFailure(budgets: readonly Budget[]): void {
    const now = this.#clock.now();
    for (const { key } of budgets) {
      const known = this.#failures.get(key);
      if (known !== undefined && known.endsAtMs > now) {
        known.count += 1;
        continue;
      }
      if (this.#failures.size >= keysMax) this.#failures.delete(this.#failures.keys().next().value!);
      this.#failures.delete(key);
      this.#failures.set(key, { count: 1, endsAtMs: now + windowMs });
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
}

interface Requested {
  readonly socket: { readonly remoteAddress?: string | undefined };
}

/** What strangers may do without a name: so many times from one address. */
export class AddressBudget {
  readonly #limiter: AttemptLimiter;
  readonly #what: string;
  readonly #countMax: number;

  constructor(limiter: AttemptLimiter, what: string, countMax: number) {
    this.#limiter = limiter;
    this.#what = what;
    this.#countMax = countMax;
  }

  isSpent(request: Requested): boolean {
    return this.#limiter.isSpent(this.#budgets(request));
  }

  count(request: Requested): void {
    this.#limiter.countFailure(this.#budgets(request));
  }

  /** Runs the check of a code unless too many were wrong; errors of that reason say that this one was. */
  async attempt<T>(request: Requested, wrong: string, check: () => Promise<T>): Promise<T> {
    this.#limiter.require(this.#budgets(request));
    try {
      return await check();
    } catch (error) {
      if (isBiplaneError(error) && error.reason === wrong) this.count(request);
      throw error;
    }
  }

  #budgets({ socket }: Requested): readonly Budget[] {
    const key = `${this.#what} at ${networkOf(socket.remoteAddress ?? "")}`;
    return [{ key, failuresMax: this.#countMax }];
  }
}

function tooMany(): BiplaneError {
  return new BiplaneError(
    "resource_exhausted",
    { what: "Too many failed attempts.", next: "Wait 15 minutes, then try again." },
    { reason: "too_many_attempts" },
  );
}
