/**
 * Encryption of single values: AES-256-GCM, bound to the place where the value belongs, so that a value moved to
 * another row, column or file does not open. Layout: version byte, 12-byte nonce, ciphertext, 16-byte tag.
 */
import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import { BiplaneError } from "@biplane/base";
import type { Key } from "./crypto-keys.ts";

export * from "./crypto-keys.ts";

const version = 1;
const nonceBytes = 12;
const tagBytes = 16;
const algorithm = "aes-256-gcm";

/** How much longer a sealed value is than its plaintext. */
export const sealOverheadBytes = 1 + nonceBytes + tagBytes;

/** Nonces are random: one key seals at most 2^32 values, so derive a key per store, never one for everything. */
export function sealRecord(key: Key, place: string | Uint8Array, plaintext: Uint8Array): Uint8Array {
  const nonce = randomBytes(nonceBytes);
  const cipher = createCipheriv(algorithm, key.reveal(), nonce, { authTagLength: tagBytes });
  cipher.setAAD(bytesOf(place));
  const body = cipher.update(plaintext);
  const rest = cipher.final();
  return new Uint8Array(Buffer.concat([Uint8Array.of(version), nonce, body, rest, cipher.getAuthTag()]));
}

/** Throws `data_loss` where the value was changed, comes from another place, or is under another key. */
export function openRecord(key: Key, place: string | Uint8Array, sealed: Uint8Array): Uint8Array {
  if (sealed.length < sealOverheadBytes || sealed[0] !== version) throw unreadable();
  const nonce = sealed.subarray(1, 1 + nonceBytes);
  const decipher = createDecipheriv(algorithm, key.reveal(), nonce, { authTagLength: tagBytes });
  decipher.setAAD(bytesOf(place));
  decipher.setAuthTag(sealed.subarray(sealed.length - tagBytes));
  try {
    const body = decipher.update(sealed.subarray(1 + nonceBytes, sealed.length - tagBytes));
    return new Uint8Array(Buffer.concat([body, decipher.final()]));
  } catch (cause) {
    throw unreadable(cause);
  }
}

/** Where a column's value belongs. `row` is the primary key, written so that two rows never read alike. */
export interface ColumnPlace {
  readonly org: string;
  readonly table: string;
  readonly column: string;
  readonly row: string;
}

export function sealColumn(key: Key, place: ColumnPlace, plaintext: Uint8Array): Uint8Array {
  return sealRecord(key, describePlace(place), plaintext);
}

export function openColumn(key: Key, place: ColumnPlace, sealed: Uint8Array): Uint8Array {
  return openRecord(key, describePlace(place), sealed);
}

/** JSON keeps the parts apart: ("a", "bc") and ("ab", "c") give different bytes. */
function describePlace(place: ColumnPlace): string {
  return JSON.stringify([place.org, place.table, place.column, place.row]);
}

function bytesOf(place: string | Uint8Array): Uint8Array {
  return typeof place === "string" ? Buffer.from(place, "utf8") : place;
}

function unreadable(cause?: unknown): BiplaneError {
  return new BiplaneError(
    "data_loss",
    {
      what: "A stored value can't be decrypted.",
      why: "It was changed or moved outside Biplane, or the key is another one.",
      next: "Check that the key file belongs to this state folder, or restore from a backup.",
    },
    { cause, reason: "unreadable" },
  );
}
