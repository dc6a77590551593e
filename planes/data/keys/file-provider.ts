/**
 * The embedded default: one owner-only file per version, read anew each time so that taking it away takes effect.
 * A disabled version's file has another name; a destroyed one's is gone.
 */
import { readdirSync } from "node:fs";
import { mkdir, open, rename, stat, unlink } from "node:fs/promises";
import { join } from "node:path";
import { BiplaneError, isBiplaneError } from "@biplane/base";
import { createKeyFile, type Key, keyBytes, openRecord, readKeyFile, sealRecord } from "@biplane/kit/crypto";
import { syncDirectory } from "@biplane/kit/files";
import { keyDisabled, noSuchKey, requireKeyName } from "./refusals.ts";
import type { KeyProvider, KeyState, KeyVersion, WrappedKey } from "./types.ts";

const disabledSuffix = ".disabled";

export class FileKeyProvider implements KeyProvider {
  readonly kind = "file";
  readonly #folder: string;
  #making: Promise<unknown> = Promise.resolve();

  private constructor(folder: string) {
    this.#folder = folder;
  }

  static async open(folder: string): Promise<FileKeyProvider> {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    return new FileKeyProvider(folder);
  }

  async currentVersion(key: string): Promise<KeyVersion> {
    const newest = this.#versions(key).at(-1);
    if (newest === undefined) throw keyDisabled({ key, version: "current" }, "none of its files is there");
    return { key, version: String(newest) };
  }

  /** Those who come together get one and the same. */
  create(key: string): Promise<KeyVersion> {
    const making = this.#making.then(async () => {
      const newest = this.#versions(key).at(-1);
      const version = { key, version: String(newest ?? 1) };
      if (newest === undefined) await createKeyFile(this.#path(version));
      return version;
    });
    this.#making = making.catch(() => undefined);
    return making;
  }

  async wrap(version: KeyVersion, content: Uint8Array, place: string): Promise<WrappedKey> {
    return { ...version, wrapped: sealRecord(await this.#read(version), place, content) };
  }

  async unwrap(wrapped: WrappedKey, place: string): Promise<Uint8Array> {
    return openRecord(await this.#read(wrapped), place, wrapped.wrapped);
  }

  async stateOf(version: KeyVersion): Promise<KeyState> {
    if (await exists(this.#path(version))) return "enabled";
    return (await exists(this.#disabledPath(version))) ? "disabled" : "destroyed";
  }

  async rotate(key: string): Promise<KeyVersion> {
    const newest = this.#versions(key).at(-1) ?? 0;
    const version = { key, version: String(newest + 1) };
    await createKeyFile(this.#path(version));
    return version;
  }

  async disable(version: KeyVersion): Promise<void> {
    await this.#move(version, this.#path(version), this.#disabledPath(version));
  }

  async enable(version: KeyVersion): Promise<void> {
    await this.#move(version, this.#disabledPath(version), this.#path(version));
  }

  async destroy(version: KeyVersion): Promise<void> {
    const state = await this.stateOf(version);
    if (state === "destroyed") throw noSuchKey(version);
    const path = state === "enabled" ? this.#path(version) : this.#disabledPath(version);
    await overwrite(path);
    await unlink(path);
    await syncDirectory(this.#folder);
  }

  async region(): Promise<undefined> {}

  async close(): Promise<void> {}

  async #read(version: KeyVersion): Promise<Key> {
    try {
      return await readKeyFile(this.#path(version));
    } catch (error) {
      if (!isBiplaneError(error, "failed_precondition")) throw error;
      throw keyDisabled(version, "its file is not there", error);
    }
  }

  /** Idempotent: a repeat finds the file where it should be. */
  async #move(version: KeyVersion, from: string, to: string): Promise<void> {
    if (await exists(from)) await rename(from, to);
    else if (!(await exists(to))) throw noSuchKey(version);
    await syncDirectory(this.#folder);
  }

  /** Disabled ones too: a version's number is never used again while anything could be under it. */
  #versions(key: string): number[] {
    const prefix = `${requireKeyName(key)}-`;
    return readdirSync(this.#folder)
      .filter((file) => file.startsWith(prefix))
      .map((file) => /^(\d+)\.key(\.disabled)?$/.exec(file.slice(prefix.length))?.[1])
      .filter((number) => number !== undefined)
      .map(Number)
      .sort((left, right) => left - right);
  }

  #path({ key, version }: KeyVersion): string {
    if (!/^\d{1,9}$/.test(version)) throw new BiplaneError("not_found", "The version of a key is a number.");
    return join(this.#folder, `${requireKeyName(key)}-${version}.key`);
  }

  #disabledPath(version: KeyVersion): string {
    return this.#path(version) + disabledSuffix;
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isFile();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return false;
    throw error;
  }
}

/** As far as the disk lets it: a file system that copies on writing keeps what it likes. */
async function overwrite(path: string): Promise<void> {
  const file = await open(path, "r+");
  try {
    await file.write(new Uint8Array(keyBytes), 0, keyBytes, 0);
    await file.sync();
  } finally {
    await file.close();
  }
}
