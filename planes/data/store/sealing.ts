/** Sealed columns: values that people and programs wrote, encrypted and bound to their row. */
import { type ColumnPlace, deriveKey, type Key, openColumn, sealColumn } from "@biplane/kit/crypto";

export class Sealer {
  readonly #key: Key;
  readonly #org: string;

  constructor(key: Key, org: string) {
    this.#key = deriveKey(key, "data-plane columns");
    this.#org = org;
  }

  seal(table: string, column: string, row: readonly string[], content: Uint8Array): Uint8Array {
    return sealColumn(this.#key, this.#place(table, column, row), content);
  }

  open(table: string, column: string, row: readonly string[], sealed: Uint8Array): Uint8Array {
    return openColumn(this.#key, this.#place(table, column, row), sealed);
  }

  sealJson(table: string, column: string, row: readonly string[], value: unknown): Uint8Array {
    return this.seal(table, column, row, Buffer.from(JSON.stringify(value)));
  }

  /** The caller names the type: it wrote the value itself, and the seal shows that nobody changed it. */
  openJson<T>(table: string, column: string, row: readonly string[], sealed: Uint8Array): T {
    return JSON.parse(Buffer.from(this.open(table, column, row, sealed)).toString()) as T;
  }

  #place(table: string, column: string, row: readonly string[]): ColumnPlace {
    return { org: this.#org, table, column, row: JSON.stringify(row) };
  }
}
