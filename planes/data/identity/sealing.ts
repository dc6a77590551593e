/** How identity keeps what it stores: columns sealed to their row, look-ups by keyed hash. System keys only. */
import { createHmac } from "node:crypto";
import type { DataSealedPlace } from "@biplane/classification";
import { deriveKey, type Key, openColumn, sealColumn } from "@biplane/kit/crypto";

export interface Sealing {
  seal(...place: [...DataSealedPlace, row: string, value: unknown]): Uint8Array;
  open<T>(...place: [...DataSealedPlace, row: string, sealed: Uint8Array]): T;
  sealBytes(...place: [...DataSealedPlace, row: string, value: Uint8Array]): Uint8Array;
  openBytes(...place: [...DataSealedPlace, row: string, sealed: Uint8Array]): Uint8Array;
  /** Same value, same hash; without the key nobody can try values. */
  hash(purpose: string, value: string): string;
}

export function createSealing(org: string, root: Key): Sealing {
  const columnKey = deriveKey(root, "identity columns");
  const hashKey = deriveKey(root, "identity look-ups");
  const seal = (table: string, column: string, row: string, value: Uint8Array) =>
    sealColumn(columnKey, { org, table, column, row }, value);
  const open = (table: string, column: string, row: string, sealed: Uint8Array) =>
    openColumn(columnKey, { org, table, column, row }, new Uint8Array(sealed));
  return {
    sealBytes: seal,
    openBytes: open,
    seal: (table, column, row, value) => seal(table, column, row, encode(value)),
    open: (table, column, row, sealed) =>
      JSON.parse(new TextDecoder().decode(open(table, column, row, sealed))),
    hash: (purpose, value) =>
      createHmac("sha256", hashKey.reveal()).update(`${purpose}\0${value}`).digest("base64url"),
  };
}

function encode(value: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value));
}
