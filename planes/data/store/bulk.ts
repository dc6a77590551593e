/**
 * Many rows in one statement: they travel as one JSON parameter, which both databases unpack faster than they parse
 * thousands of placeholders. Bytes travel as base64.
 */
import { CompiledQuery, type RawBuilder, sql, type Transaction } from "kysely";

export type JsonRow = Readonly<Record<string, string | number | boolean | null>>;

export interface BulkColumn {
  readonly name: string;
  readonly type: "text" | "bigint" | "int" | "boolean" | "bytea";
}

const rowsPerStatementMax = 2_000;

export function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64");
}

/**
 * A statement about many rows. Its text is made once: to make it costs as much as to run it, and every commit of the
 * engine has several of them.
 */
export class BulkStatement {
  readonly #columns: readonly BulkColumn[];
  readonly #statement: (rows: RawBuilder<unknown>) => RawBuilder<unknown>;
  #text: string | undefined;

  /** `rows` stands for the unpacked rows, named `r`; the statement has no other parameters. */
  constructor(columns: readonly BulkColumn[], statement: (rows: RawBuilder<unknown>) => RawBuilder<unknown>) {
    this.#columns = columns;
    this.#statement = statement;
  }

  async run<Schema>(transaction: Transaction<Schema>, rows: readonly JsonRow[]): Promise<void> {
    for (let start = 0; start < rows.length; start += rowsPerStatementMax) {
      const chunk = JSON.stringify(rows.slice(start, start + rowsPerStatementMax));
      this.#text ??= this.#compile(transaction);
      await transaction.executeQuery(CompiledQuery.raw(this.#text, [chunk]));
    }
  }

  #compile<Schema>(transaction: Transaction<Schema>): string {
    const types = sql.join(
      this.#columns.map(
        ({ name, type }) => sql`${sql.id(name)} ${sql.raw(type === "bytea" ? "text" : type)}`,
      ),
    );
    const rows = sql`json_to_recordset(${""}::json) as r(${types})`;
    const { sql: text, parameters } = this.#statement(rows).compile(transaction);
    if (parameters.length !== 1) throw new Error("A bulk statement has its rows as its only parameter.");
    return text;
  }
}

export function names(columns: readonly BulkColumn[]): RawBuilder<unknown> {
  return sql.join(columns.map(({ name }) => sql.id(name)));
}

export function values(columns: readonly BulkColumn[]): RawBuilder<unknown> {
  return sql.join(columns.map(value));
}

/** For `on conflict`: what the new row has, in place of what was there. */
export function replaced(columns: readonly BulkColumn[]): RawBuilder<unknown> {
  return sql.join(columns.map(({ name }) => sql`${sql.id(name)} = excluded.${sql.id(name)}`));
}

function value({ name, type }: BulkColumn): RawBuilder<unknown> {
  return type === "bytea" ? sql`decode(r.${sql.id(name)}, 'base64')` : sql`r.${sql.id(name)}`;
}
