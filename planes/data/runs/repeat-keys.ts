/**
 * Repeat keys in memory (rule of state 2): those of the last day as long as they are not too many, so that a request that
 * comes for the first time needs no question to the database.
 */
import type { RunId } from "@biplane/base";
import type { RepeatKey } from "../store/key-rows.ts";

export type FoundRepeat =
  | { readonly kind: "known"; readonly run: RunId }
  | { readonly kind: "absent" }
  /** Memory can't tell: the database has to be asked. */
  | { readonly kind: "unknown" };

export const repeatKeysMax = 50_000;

export class RepeatKeys {
  readonly #keys = new Map<string, RepeatKey>();
  readonly #keysMax: number;
  /** No key that is missing here was made later. */
  #missingUntilMs = Number.NEGATIVE_INFINITY;

  constructor(keysMax = repeatKeysMax) {
    this.#keysMax = keysMax;
  }

  /** Keys made at `oldestMs` or before count no more. */
  find(key: string, oldestMs: number): FoundRepeat {
    const known = this.#keys.get(key);
    if (known !== undefined && known.createdAtMs > oldestMs) return { kind: "known", run: known.run };
    return { kind: known !== undefined || this.#missingUntilMs <= oldestMs ? "absent" : "unknown" };
  }

  add(key: RepeatKey): void {
    this.#keys.delete(key.key);
    this.#keys.set(key.key, key);
    for (const oldest of this.#keys.values()) {
      if (this.#keys.size <= this.#keysMax) return;
      this.#keys.delete(oldest.key);
      this.#missingUntilMs = Math.max(this.#missingUntilMs, oldest.createdAtMs);
    }
  }

  /** Begins anew with the newest keys on disk, oldest first. */
  load(newest: readonly RepeatKey[]): void {
    this.#keys.clear();
    const isAll = newest.length < this.#keysMax;
    this.#missingUntilMs = isAll ? Number.NEGATIVE_INFINITY : newest[0]!.createdAtMs;
    for (const key of newest) this.add(key);
  }

  delete(key: string): void {
    this.#keys.delete(key);
  }
}
