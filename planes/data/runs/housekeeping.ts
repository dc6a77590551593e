/** What time alone decides: pending runs that are withdrawn (rule of state 3), keys that are forgotten (rule of state 2). */
import { limits, minute, second } from "@biplane/base";
import type { Closeable } from "@biplane/kit/lifecycle";
import { deleteExpiredKeys } from "../store/key-rows.ts";
import type { RunCreation } from "./creation.ts";
import type { Engine } from "./engine.ts";

const withdrawalIntervalMs = second;
const keysIntervalMs = 10 * minute;

export class Housekeeping implements Closeable {
  readonly #engine: Engine;
  readonly #creation: RunCreation;
  readonly #timers: readonly NodeJS.Timeout[];
  #forgetting: Promise<void> = Promise.resolve();

  constructor(engine: Engine, creation: RunCreation) {
    this.#engine = engine;
    this.#creation = creation;
    this.#timers = [
      setInterval(() => this.#withdraw(), withdrawalIntervalMs).unref(),
      setInterval(() => this.#forgetKeys(), keysIntervalMs).unref(),
    ];
  }

  async close(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    await this.#forgetting;
  }

  #withdraw(): void {
    const engine = this.#engine;
    if (!engine.isUsable) return;
    this.#creation.withdrawExpired();
    // A failure is logged where the transaction failed; the next round tries again.
    if (engine.committer.hasChanges) engine.commit().catch(() => undefined);
  }

  #forgetKeys(): void {
    const { database, org, log } = this.#engine.options;
    const now = this.#engine.now();
    for (const [nonce, { expiresAtMs }] of this.#engine.nonces) {
      if (expiresAtMs < now) this.#engine.nonces.delete(nonce);
    }
    const before = { repeatKeysMs: now - limits.repeatKeyMs, noncesMs: now };
    this.#forgetting = database
      .asOrg(org, (transaction) => deleteExpiredKeys(transaction, org, before))
      .catch((error: unknown) => log.warn({ event: "keys_not_forgotten", error }, "expired keys stay"));
  }
}
