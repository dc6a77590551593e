/**
 * Where the customer's keys live. A provider wraps and unwraps project keys and never gives its own key away, so that a
 * cloud's key service fits behind the same interface; whoever disables a key there makes all beneath it unreadable.
 */
import { readdirSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { BiplaneError, isBiplaneError } from "@biplane/base";
import { createKeyFile, type Key, openRecord, readKeyFile, sealRecord } from "@biplane/kit";

export interface WrappedKey {
  /** Which version of the provider's key wrapped it. */
  readonly version: string;
  readonly wrapped: Uint8Array;
}

export interface KeyProvider {
  /** The version that wraps new keys. */
  currentVersion(): Promise<string>;
  wrap(key: Uint8Array, place: string): Promise<WrappedKey>;
  /** Refused with `failed_precondition`, reason `key_disabled`, where the version is disabled or gone. */
  unwrap(wrapped: WrappedKey, place: string): Promise<Uint8Array>;
}

/** The embedded default: one owner-only file per version, read anew each time so that taking it away takes effect. */
export class FileKeyProvider implements KeyProvider {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /** Makes the first version where there is none. */
  static async open(folder: string): Promise<FileKeyProvider> {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const provider = new FileKeyProvider(folder);
    if (provider.#versions().length === 0) await createKeyFile(provider.#path(1));
    return provider;
  }

  async currentVersion(): Promise<string> {
    const newest = this.#versions().at(-1);
    if (newest === undefined) throw keyDisabled("current");
    return String(newest);
  }

  /** A new version for new keys; what older versions wrapped stays readable (claim CMK-2). */
  async rotate(): Promise<string> {
    const next = Number(await this.currentVersion()) + 1;
    await createKeyFile(this.#path(next));
    return String(next);
  }

  async wrap(key: Uint8Array, place: string): Promise<WrappedKey> {
    const version = await this.currentVersion();
    return { version, wrapped: sealRecord(await this.#key(version), place, key) };
  }

  async unwrap(wrapped: WrappedKey, place: string): Promise<Uint8Array> {
    return openRecord(await this.#key(wrapped.version), place, wrapped.wrapped);
  }

  async #key(version: string): Promise<Key> {
    try {
      return await readKeyFile(this.#path(Number(version)));
    } catch (error) {
      if (isBiplaneError(error, "failed_precondition")) throw keyDisabled(version, error);
      throw error;
    }
  }

  #versions(): number[] {
    const files = readdirSync(this.#folder);
    const numbers = files.map((file) => Number(/^customer-(\d+)\.key$/.exec(file)?.[1] ?? Number.NaN));
    return numbers.filter((number) => !Number.isNaN(number)).sort((left, right) => left - right);
  }

  #path(version: number): string {
    return join(this.#folder, `customer-${version}.key`);
  }
}

export function keyDisabled(version: string, cause?: unknown): BiplaneError {
  return new BiplaneError(
    "failed_precondition",
    {
      what: "The key that protects this data is disabled.",
      why: `The key provider does not give version ${version} of the customer's key.`,
      next: "Enable the key, or bring its file back, then try again.",
    },
    { cause, reason: "key_disabled" },
  );
}
