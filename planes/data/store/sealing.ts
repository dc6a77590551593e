/** Sealed columns: values that people and programs wrote, encrypted and bound to their row. The register names them. */
import type { DataSealedPlace } from "@biplane/classification";
import { type ColumnPlace, deriveKey, type Key, openColumn, sealColumn } from "@biplane/kit/crypto";

type Row = readonly string[];

export class Sealer {
  readonly #key: Key;
  readonly #org: string;

  constructor(key: Key, org: string) {
    this.#key = deriveKey(key, "data-plane columns");
    this.#org = org;
  }

  seal(...[table, column, row, content]: [...DataSealedPlace, row: Row, content: Uint8Array]): Uint8Array {
    return sealColumn(this.#key, this.#place(table, column, row), content);
  }

  open(...[table, column, row, sealed]: [...DataSealedPlace, row: Row, sealed: Uint8Array]): Uint8Array {
    return openColumn(this.#key, this.#place(table, column, row), sealed);
  }

  sealJson(...[table, column, row, value]: [...DataSealedPlace, row: Row, value: unknown]): Uint8Array {
    const place = this.#place(table, column, row);
    return sealColumn(this.#key, place, Buffer.from(JSON.stringify(value)));
  }

  /** The caller names the type: it wrote the value itself, and the seal shows that nobody changed it. */
  openJson<T>(...[table, column, row, sealed]: [...DataSealedPlace, row: Row, sealed: Uint8Array]): T {
    const opened = openColumn(this.#key, this.#place(table, column, row), sealed);
    return JSON.parse(Buffer.from(opened).toString()) as T;
  }

  #place(table: string, column: string, row: Row): ColumnPlace {
    return { org: this.#org, table, column, row: JSON.stringify(row) };
  }
}
