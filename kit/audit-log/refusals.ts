/**
 * Keeps strangers from filling the log: up to a bound each refused request is on record by itself before it is answered;
 * beyond it, requests are counted by address and reason, and the counts are on record instead (claim AUD-1).
 */
import { second } from "@biplane/base";
import type { Clock } from "../clock.ts";
import type { Logger } from "../logging.ts";
import { type AuditInput, type AuditLog, eventOf } from "./log.ts";

export interface RefusalBounds {
  /** Records of refusals in one interval; more are counted. */
  readonly recordsMax: number;
  readonly intervalMs: number;
}

const boundsDefault: RefusalBounds = { recordsMax: 1_000, intervalMs: 10 * second };
/** Different addresses and reasons that are counted apart; what comes from more goes into one count. */
const kindsMax = 256;

export class RefusalRecorder {
  readonly #log: Pick<AuditLog, "record">;
  readonly #clock: Clock;
  readonly #bounds: RefusalBounds;
  readonly #logger: Logger;
  #counts = new Map<string, { readonly example: AuditInput; count: number }>();
  #startedAtMs = 0;
  #recorded = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(log: Pick<AuditLog, "record">, clock: Clock, logger: Logger, bounds = boundsDefault) {
    this.#log = log;
    this.#clock = clock;
    this.#logger = logger;
    this.#bounds = bounds;
  }

  /** Resolves once the refusal is on record, by itself or in a count to come. */
  async record(input: AuditInput): Promise<void> {
    const now = this.#clock.now();
    if (now - this.#startedAtMs >= this.#bounds.intervalMs) {
      this.#startedAtMs = now;
      this.#recorded = 0;
    }
    if (this.#recorded < this.#bounds.recordsMax) {
      this.#recorded += 1;
      return this.#log.record(input);
    }
    this.#count(input);
  }

  /** Writes what was counted; at the end of each interval, and when the plane stops. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const counts = [...this.#counts.values()];
    this.#counts = new Map();
    for (const { example, count } of counts) {
      const { address, addressFrom, decision, reason } = example;
      const known = reason === undefined ? {} : { reason };
      await this.#log.record(
        eventOf("REQUESTS_SUMMARIZED", { decision, address, addressFrom, ...known, count }),
      );
    }
  }

  async close(): Promise<void> {
    await this.flush();
  }

  #count(input: AuditInput): void {
    const key = JSON.stringify([input.address, input.decision, input.reason]);
    const kind = this.#counts.has(key) || this.#counts.size < kindsMax ? key : "others";
    const counted = this.#counts.get(kind);
    if (counted !== undefined) counted.count += 1;
    else
      this.#counts.set(kind, { example: kind === key ? input : { ...input, address: "others" }, count: 1 });
    this.#timer ??= setTimeout(() => {
      this.flush().catch((error: unknown) => {
        this.#logger.error({ event: "audit_failed", error }, "refused requests could not be recorded");
      });
    }, this.#bounds.intervalMs);
  }
}
