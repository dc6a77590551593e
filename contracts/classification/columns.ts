/** How the register describes a column of a database: its class, how it is kept, and what it may hold. */
import { type DataClass, isKnowable } from "@biplane/base";
import type { ValueRule } from "@biplane/control-wire";

/** `sealed`: encrypted and bound to its row. `hashed`: a keyed hash, by which rows are found. */
export type Kept = "plain" | "sealed" | "hashed";

export interface Column {
  readonly class: DataClass;
  readonly kept: Kept;
  /** What it may hold, once opened; every text column of the control plane has one (claim CLS-2). */
  readonly rule?: ValueRule;
}

export type Columns = Readonly<Record<string, Readonly<Record<string, Column>>>>;

export function plain(one: DataClass, rule?: ValueRule) {
  return describe(one, "plain", rule);
}

export function sealed(one: DataClass, rule?: ValueRule) {
  return describe(one, "sealed", rule);
}

export function hashed(one: DataClass) {
  return describe(one, "hashed", undefined);
}

function describe<K extends Kept>(one: DataClass, kept: K, rule: ValueRule | undefined) {
  return { class: one, kept, ...(rule === undefined ? {} : { rule }) } as const;
}

/** A table and one of its encrypted columns, as arguments: what is not registered as sealed can't be sealed. */
export type SealedPlace<Tables> = {
  [Table in keyof Tables]: [table: Table & string, column: SealedColumn<Tables[Table]>];
}[keyof Tables];

type SealedColumn<Table> = {
  [Name in keyof Table]: Table[Name] extends { readonly kept: "sealed" } ? Name : never;
}[keyof Table] &
  string;

/** Whether a column that is kept so may be read by whoever holds the disk: names, times and codes only. */
export function isKeptRightly({ class: one, kept }: Column): boolean {
  return kept !== "plain" || isKnowable(one);
}
