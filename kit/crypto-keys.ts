/** Symmetric keys: where they come from (an owner-only file) and how one purpose's key is made from another. */
import { hkdfSync, randomBytes } from "node:crypto";
import { closeSync, constants, fstatSync, openSync, readFileSync } from "node:fs";
import { BiplaneError, Secret } from "@biplane/base";
import { writeFileDurably } from "./files.ts";

export type Key = Secret<Uint8Array>;

/** AES-256 everywhere. */
export const keyBytes = 32;
const groupAndOthers = 0o077;

export function newKey(): Key {
  return new Secret(new Uint8Array(randomBytes(keyBytes)));
}

/**
 * A key for one purpose, by HKDF-SHA256 (RFC 5869). Purposes are distinct constants or contain only checked names, so
 * that two places never share a key.
 */
export function deriveKey(root: Key, purpose: string, salt: Uint8Array = new Uint8Array(0)): Key {
  return new Secret(new Uint8Array(hkdfSync("sha256", root.reveal(), salt, purpose, keyBytes)));
}

/** Writes a new key into a file that only its owner reads. Refuses with `already_exists` where there is one. */
export async function createKeyFile(path: string): Promise<Key> {
  if ((await readKeyFileIfAny(path)) !== undefined) {
    throw new BiplaneError("already_exists", {
      what: `There is a key in ${path} already.`,
      why: "Replacing it would make everything encrypted under it unreadable.",
      next: "Use it, or choose another state folder.",
    });
  }
  const key = newKey();
  await writeFileDurably(path, key.reveal(), 0o600);
  return key;
}

/** The key in the file. Refuses a file that others may read: whoever could read it may have the key. */
export async function readKeyFile(path: string): Promise<Key> {
  const key = await readKeyFileIfAny(path);
  if (key !== undefined) return key;
  throw new BiplaneError("failed_precondition", {
    what: `The key file ${path} is missing.`,
    why: "Everything in this state folder is encrypted under it.",
    next: "Put it back from your backup, or initialize a new state folder.",
  });
}

export async function readOrCreateKeyFile(path: string): Promise<Key> {
  return (await readKeyFileIfAny(path)) ?? createKeyFile(path);
}

/**
 * Read without Node's thread pool: a pool full of slow syncs must not make a key that is there look like one that was
 * taken away. The file is tiny and mostly in memory.
 */
async function readKeyFileIfAny(path: string): Promise<Key | undefined> {
  const file = openIfAny(path);
  if (file === undefined) return undefined;
  try {
    const { mode, size } = fstatSync(file);
    if ((mode & groupAndOthers) !== 0) throw tooOpen(path, mode);
    if (size !== keyBytes) throw wrongSize(path, size);
    return new Secret(new Uint8Array(readFileSync(file)));
  } finally {
    closeSync(file);
  }
}

function openIfAny(path: string): number | undefined {
  try {
    return openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

function tooOpen(path: string, mode: number): BiplaneError {
  return new BiplaneError("failed_precondition", {
    what: `The key file ${path} is open to other users (mode ${(mode & 0o777).toString(8)}).`,
    why: "Whoever can read it can read everything encrypted under it.",
    next: `Run: chmod 600 ${path}`,
  });
}

function wrongSize(path: string, size: number): BiplaneError {
  return new BiplaneError("data_loss", {
    what: `The key file ${path} is damaged.`,
    why: `It has ${size} bytes; a key has ${keyBytes}.`,
    next: "Put it back from your backup.",
  });
}
