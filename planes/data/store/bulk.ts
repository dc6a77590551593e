/**
 * Many rows in one statement: they travel as one JSON parameter, which both databases unpack faster than they parse
 * thousands of placeholders. Bytes travel as base64.
 */
import { type RawBuilder, sql, type Transaction } from "kysely";

export type JsonRow = Readonly<Record<string, string | number | boolean | null>>;

export interface BulkColumn {
  readonly name: string;
  readonly type: "text" | "bigint" | "int" | "boolean" | "bytea";
}

const rowsPerStatementMax = 2_000;

export function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64");
}

/** Runs the statement made from each chunk of the rows; `rows` stands for the unpacked chunk, named `r`. */
export async function inChunks<Schema>(
  transaction: Transaction<Schema>,
  columns: readonly BulkColumn[],
  rows: readonly JsonRow[],
  statement: (rows: RawBuilder<unknown>) => RawBuilder<unknown>,
): Promise<void> {
  const types = sql.join(
    columns.map(({ name, type }) => sql`${sql.id(name)} ${sql.raw(type === "bytea" ? "text" : type)}`),
  );
  for (let start = 0; start < rows.length; start += rowsPerStatementMax) {
    const chunk = JSON.stringify(rows.slice(start, start + rowsPerStatementMax));
    await statement(sql`json_to_recordset(${chunk}::json) as r(${types})`).execute(transaction);
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
