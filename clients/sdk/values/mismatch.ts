/** The one text for a value that isn't what its type says. It names the kind of what came, never its content. */
import { describeType, type ValueType } from "../types/value-type.ts";

export function mismatch(place: string, type: ValueType, value: unknown): TypeError {
  return new TypeError(`${place} has to be ${describeType(type)}, but it is ${kindOf(value)}.`);
}

function kindOf(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return `a ${value.constructor?.name ?? "structure"}`;
  return typeof value;
}
