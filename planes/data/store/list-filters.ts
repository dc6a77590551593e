/** Flyte's filters as SQL conditions: one table of fields per listed thing, one of operators. */
import { BiplaneError } from "@biplane/base";
import { type RawBuilder, sql } from "kysely";
import type { ListFilter } from "../runs/types.ts";

export interface ListField {
  readonly column: string;
  readonly type: "text" | "number" | "time";
  /** Rows may lack a value. */
  readonly isOptional?: true;
}
export type ListFields = Readonly<Record<string, ListField>>;

/** `flyteidl2.common.Filter.Function`, with the members newer than the published types. */
export const FilterFunction = {
  EQUAL: 0,
  NOT_EQUAL: 1,
  GREATER_THAN: 2,
  GREATER_THAN_OR_EQUAL: 3,
  LESS_THAN: 4,
  LESS_THAN_OR_EQUAL: 5,
  CONTAINS: 6,
  VALUE_IN: 7,
  VALUE_NOT_IN: 9,
  ENDS_WITH: 12,
  NOT_ENDS_WITH: 13,
  CONTAINS_CASE_INSENSITIVE: 14,
  EXISTS: 15,
  NOT_EXISTS: 16,
} as const;

type Condition = RawBuilder<boolean>;
type Build = (expression: RawBuilder<unknown>, values: readonly (string | number)[]) => Condition;

const operators: ReadonlyMap<number, Build> = new Map<number, Build>([
  [FilterFunction.EQUAL, (left, [value]) => sql`${left} = ${value}`],
  [FilterFunction.NOT_EQUAL, (left, [value]) => sql`${left} is distinct from ${value}`],
  [FilterFunction.GREATER_THAN, (left, [value]) => sql`${left} > ${value}`],
  [FilterFunction.GREATER_THAN_OR_EQUAL, (left, [value]) => sql`${left} >= ${value}`],
  [FilterFunction.LESS_THAN, (left, [value]) => sql`${left} < ${value}`],
  [FilterFunction.LESS_THAN_OR_EQUAL, (left, [value]) => sql`${left} <= ${value}`],
  [FilterFunction.CONTAINS, (left, [value]) => sql`position(${`${value}`}::text in ${left}::text) > 0`],
  [FilterFunction.VALUE_IN, (left, values) => sql`${left} in (${sql.join([...values])})`],
  [FilterFunction.VALUE_NOT_IN, (left, values) => sql`(${left} in (${sql.join([...values])})) is not true`],
  [FilterFunction.ENDS_WITH, (left, [value]) => endsWith(left, value)],
  [FilterFunction.NOT_ENDS_WITH, (left, [value]) => sql`not ${endsWith(left, value)}`],
  [
    FilterFunction.CONTAINS_CASE_INSENSITIVE,
    (left, [value]) => sql`position(lower(${`${value}`}::text) in lower(${left}::text)) > 0`,
  ],
  [FilterFunction.EXISTS, (left) => sql`${left} is not null`],
  [FilterFunction.NOT_EXISTS, (left) => sql`${left} is null`],
]);

const valueless: ReadonlySet<number> = new Set([FilterFunction.EXISTS, FilterFunction.NOT_EXISTS]);
const valuesMax = 1_000;

export function filterCondition(filter: ListFilter, fields: ListFields): Condition {
  const field = fields[filter.field];
  if (field === undefined) throw unknownField("filtered by", filter.field, fields);
  const build = operators.get(filter.operator);
  if (build === undefined) throw unknownOperator(filter);
  requireValues(filter);
  return build(
    sql.ref(field.column),
    filter.values.map((value) => parseValue(filter.field, field, value)),
  );
}

/** Shared with filters that can't be conditions in SQL, because the column is sealed. */
export function requireValues(filter: ListFilter): void {
  if (valueless.has(filter.operator)) return;
  if (filter.values.length > 0 && filter.values.length <= valuesMax) return;
  throw new BiplaneError("invalid_argument", {
    what: `The filter on ${JSON.stringify(filter.field)} has ${filter.values.length} values.`,
    why: `It needs 1 to ${valuesMax}.`,
  });
}

export function unknownOperator(filter: ListFilter): BiplaneError {
  return new BiplaneError("invalid_argument", {
    what: `The filter on ${JSON.stringify(filter.field)} uses function ${filter.operator}, which it does not have.`,
    next: "Use EQUAL, VALUE_IN, CONTAINS or a comparison.",
  });
}

export function unknownField(use: string, name: string, fields: ListFields): BiplaneError {
  return new BiplaneError("invalid_argument", {
    what: `The list can't be ${use} ${JSON.stringify(name)}.`,
    why: `It knows ${Object.keys(fields).join(", ")}.`,
  });
}

function parseValue(name: string, { type }: ListField, value: string): string | number {
  if (type === "text") return value;
  const parsed = type === "time" ? Date.parse(value) : Number(value);
  if (Number.isFinite(parsed) && value.trim() !== "") return parsed;
  throw new BiplaneError("invalid_argument", {
    what: `The filter on ${JSON.stringify(name)} can't be read.`,
    why: type === "time" ? "It needs a time such as 2026-11-21T07:30:00+00:00." : "It needs a number.",
  });
}

function endsWith(left: RawBuilder<unknown>, value: string | number | undefined): Condition {
  const suffix = String(value ?? "");
  return sql`right(${left}::text, ${suffix.length}) = ${suffix}`;
}
