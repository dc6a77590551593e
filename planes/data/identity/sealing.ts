/** How identity keeps what it stores: columns sealed to their row, look-ups by keyed hash. System keys only. */
import { createHmac } from "node:crypto";
import { deriveKey, type Key, openColumn, sealColumn } from "@biplane/kit/crypto";

export interface Sealing {
  seal(table: string, column: string, row: string, value: unknown): Uint8Array;
  open<T>(table: string, column: string, row: string, sealed: Uint8Array): T;
  sealBytes(table: string, column: string, row: string, value: Uint8Array): Uint8Array;
  openBytes(table: string, column: string, row: string, sealed: Uint8Array): Uint8Array;
  /** Same value, same hash; without the key nobody can try values. */
  hash(purpose: string, value: string): string;
}

export function createSealing(org: string, root: Key): Sealing {
  const columnKey = deriveKey(root, "identity columns");
  const hashKey = deriveKey(root, "identity look-ups");
  const sealing: Sealing = {
    sealBytes: (table, column, row, value) => sealColumn(columnKey, { org, table, column, row }, value),
    openBytes: (table, column, row, sealed) =>
      openColumn(columnKey, { org, table, column, row }, new Uint8Array(sealed)),
    seal: (table, column, row, value) => sealing.sealBytes(table, column, row, encode(value)),
    open: <T>(table: string, column: string, row: string, sealed: Uint8Array) =>
      JSON.parse(new TextDecoder().decode(sealing.openBytes(table, column, row, sealed))) as T,
    hash: (purpose, value) =>
      createHmac("sha256", hashKey.reveal()).update(`${purpose}\0${value}`).digest("base64url"),
  };
  return sealing;
}

function encode(value: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value));
}
