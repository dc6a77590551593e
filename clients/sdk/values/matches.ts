/** Whether a value is of a type: how a union's variant is found. */
import { resolveType, type ValueType } from "../types/value-type.ts";
import { DataFrame } from "./data-frame.ts";
import { Dir } from "./dir.ts";
import { Duration } from "./duration.ts";
import { File } from "./file.ts";

const int64Min = -(2n ** 63n);
const int64Max = 2n ** 63n - 1n;

type Test = (value: unknown) => boolean;
const simpleTests: Readonly<Record<string, Test | undefined>> = {
  none: (value) => value === null || value === undefined,
  string: (value) => typeof value === "string",
  integer: (value) => Number.isSafeInteger(value),
  bigint: (value) => typeof value === "bigint" && value >= int64Min && value <= int64Max,
  float: (value) => typeof value === "number",
  boolean: (value) => typeof value === "boolean",
  datetime: (value) => value instanceof Date && !Number.isNaN(value.getTime()),
  duration: (value) => value instanceof Duration,
  bytes: (value) => value instanceof Uint8Array,
  file: (value) => value instanceof File,
  directory: (value) => value instanceof Dir,
  dataFrame: (value) => value instanceof DataFrame,
  any: () => true,
};

export function matches(type: ValueType, value: unknown): boolean {
  const resolved = resolveType(type);
  switch (resolved.kind) {
    case "enum":
      return typeof value === "string" && resolved.values.includes(value);
    case "list":
      return Array.isArray(value) && value.every((item) => matches(resolved.of, item));
    case "map":
      return isPlainObject(value) && Object.values(value).every((item) => matches(resolved.of, item));
    case "object":
      return isPlainObject(value) && resolved.fields.every((field) => matches(field.type, value[field.name]));
    case "union":
      return resolved.variants.some((variant) => matches(variant, value));
    case "optional":
      return value === null || value === undefined || matches(resolved.of, value);
    default:
      return simpleTests[resolved.kind]?.(value) ?? false;
  }
}

function isPlainObject(value: unknown): value is Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}
