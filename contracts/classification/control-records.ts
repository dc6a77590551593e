/**
 * Whether a control plane's records are what the register says: values that their column allows (claim CLS-2), the documented
 * projection and nothing else (claim CLS-6). For the plane itself, for tests, and for whoever verifies an installation.
 */
import type { Column } from "./columns.ts";
import { controlColumns } from "./control-columns.ts";

export type ControlTable = keyof typeof controlColumns;

export interface Unfit {
  /** As `control.run.failure_code`. The value is not told: it may be a customer's. */
  readonly name: string;
  /** What should be there. */
  readonly rule: string;
}

/**
 * The values of a row that its columns may not hold, and columns that the register does not know. Sealed columns are given
 * opened, as text, under the name that they have in the database.
 */
export function findUnfitValues(table: string, row: Readonly<Record<string, unknown>>): readonly Unfit[] {
  return Object.entries(row).flatMap(([column, value]) => {
    const rule = unfitRule(columnAt(table, column), value);
    return rule === undefined ? [] : [{ name: `control.${table}.${column}`, rule }];
  });
}

export function columnAt(table: string, column: string): Column | undefined {
  const columns = Object.hasOwn(controlColumns, table) ? controlColumns[table as ControlTable] : undefined;
  if (columns === undefined || !Object.hasOwn(columns, column)) return undefined;
  return (columns as Readonly<Record<string, Column>>)[column];
}

/** What a value should be and is not; undefined where it fits. */
export function unfitRule(column: Column | undefined, value: unknown): string | undefined {
  if (column === undefined) return "a column of the register";
  if (value === null || value === undefined) return undefined;
  const isFree = typeof value === "string" || value instanceof Uint8Array;
  if (column.rule === undefined) return isFree ? "a number, a time or a truth value" : undefined;
  if (!isFree) return column.rule.rule;
  return column.rule.holds(value as never) ? undefined : column.rule.rule;
}
