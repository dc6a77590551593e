/** Pages of a list by keyset: the cursor holds the last row's sort values, so that pages neither skip nor repeat rows. */
import { BiplaneError, limits } from "@biplane/base";
import { type RawBuilder, sql, type Transaction } from "kysely";
import type { ListQuery } from "../runs/types.ts";
import { filterCondition, type ListField, type ListFields, unknownField } from "./list-filters.ts";
import type { DataSchema } from "./schema.ts";

export interface ListTable {
  readonly name: "run" | "action" | "task";
  readonly fields: ListFields;
  /** Columns that make a row unique within the list. */
  readonly key: readonly string[];
}

interface SortColumn {
  readonly field: ListField;
  readonly ascending: boolean;
}

type CursorValue = string | number;

export function limitOf(query: ListQuery): number {
  const wanted = query.limit > 0 ? query.limit : limits.listLimitDefault;
  return Math.min(wanted, limits.listLimitMax);
}

export class ListPager<Row extends object> {
  readonly #table: ListTable;
  readonly #columns: readonly SortColumn[];
  readonly #where: readonly RawBuilder<boolean>[];

  /** `scope` narrows the list beyond what the query says. */
  constructor(table: ListTable, query: ListQuery, scope: readonly RawBuilder<boolean>[]) {
    this.#table = table;
    this.#columns = sortColumns(table, query);
    this.#where = [...scope, ...query.filters.map((filter) => filterCondition(filter, table.fields))];
  }

  async read(transaction: Transaction<DataSchema>, cursor: string, limit: number): Promise<readonly Row[]> {
    const after = cursor === "" ? [] : [this.#after(this.#parse(cursor))];
    const order = this.#columns.map(
      ({ field, ascending }) => sql`${sortable(field)} ${sql.raw(ascending ? "asc" : "desc")}`,
    );
    const { rows } = await sql<Row>`select * from ${sql.table(this.#table.name)}
      where ${sql.join([...this.#where, ...after], sql` and `)}
      order by ${sql.join(order)} limit ${limit}`.execute(transaction);
    return rows;
  }

  cursorOf(row: Row): string {
    const values = this.#columns.map(({ field }) => {
      const value = (row as Record<string, unknown>)[field.column];
      return field.type === "text" ? String(value ?? "") : Number(value ?? 0);
    });
    return Buffer.from(JSON.stringify([this.#signature, ...values])).toString("base64url");
  }

  get #signature(): string {
    return this.#columns.map(({ field, ascending }) => `${ascending ? "+" : "-"}${field.column}`).join("");
  }

  #parse(cursor: string): readonly CursorValue[] {
    let parsed: unknown;
    try {
      parsed = JSON.parse(Buffer.from(cursor, "base64url").toString());
    } catch {
      throw unreadableCursor();
    }
    if (!Array.isArray(parsed) || parsed.length !== this.#columns.length + 1) throw unreadableCursor();
    const [signature, ...values] = parsed as unknown[];
    if (signature !== this.#signature) throw unreadableCursor();
    return values.map((value, index) => {
      const wanted = this.#columns[index]!.field.type === "text" ? "string" : "number";
      if (typeof value !== wanted) throw unreadableCursor();
      return value as CursorValue;
    });
  }

  /** Greater in the first column, or equal there and greater in the next, and so on. */
  #after(values: readonly CursorValue[]): RawBuilder<boolean> {
    const cases = this.#columns.map(({ field, ascending }, index) => {
      const equal = this.#columns
        .slice(0, index)
        .map((column, before) => sql`${sortable(column.field)} = ${values[before]}`);
      const beyond = sql`${sortable(field)} ${sql.raw(ascending ? ">" : "<")} ${values[index]}`;
      return sql`(${sql.join([...equal, beyond], sql` and `)})`;
    });
    return sql`(${sql.join(cases, sql` or `)})`;
  }
}

function sortColumns(table: ListTable, query: ListQuery): readonly SortColumn[] {
  const wanted = query.sort.map(({ field, ascending }) => {
    const known = table.fields[field];
    if (known === undefined) throw unknownField("sorted by", field, table.fields);
    return { field: known, ascending };
  });
  const used = new Set(wanted.map(({ field }) => field.column));
  const rest = table.key.filter((column) => !used.has(column));
  return [
    ...wanted,
    ...rest.map((column) => ({ field: { column, type: "text" as const }, ascending: true })),
  ];
}

/** Rows without a value come before all others; where all have one, the bare column can use its index. */
function sortable({ column, type, isOptional }: ListField): RawBuilder<unknown> {
  if (type === "text") return sql`${sql.ref(column)} collate "C"`;
  return isOptional === true ? sql`coalesce(${sql.ref(column)}, 0)` : sql.ref(column);
}

function unreadableCursor(): BiplaneError {
  return new BiplaneError("invalid_argument", {
    what: "The list's token can't be used.",
    why: "It was changed, or belongs to a list that is sorted differently.",
    next: "Begin the list again without a token.",
  });
}
