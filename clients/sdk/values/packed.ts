/**
 * Values inside structures: MessagePack of the plain form that Python's dataclasses have there. Dates are ISO strings,
 * durations seconds, files `{path, name, format, hash}`.
 */
import { decode, encode } from "@msgpack/msgpack";
import { type ObjectField, resolveType, type ValueType } from "../types/value-type.ts";
import { DataFrame } from "./data-frame.ts";
import { Dir } from "./dir.ts";
import { Duration } from "./duration.ts";
import { File } from "./file.ts";
import { matches } from "./matches.ts";
import { mismatch } from "./mismatch.ts";

export function packBytes(type: ValueType, value: unknown): Uint8Array {
  return encode(pack(type, value), {
    useBigInt64: true,
    sortKeys: type.kind === "any",
    ignoreUndefined: true,
  });
}

export function unpackBytes(type: ValueType, bytes: Uint8Array, place: string): unknown {
  return unpack(type, decode(bytes, { useBigInt64: true }), place);
}

function pack(type: ValueType, value: unknown): unknown {
  const resolved = resolveType(type);
  switch (resolved.kind) {
    case "optional":
      return value === null || value === undefined ? null : pack(resolved.of, value);
    case "union":
      return pack(resolved.variants.find((variant) => matches(variant, value)) ?? { kind: "any" }, value);
    case "list":
      return (value as readonly unknown[]).map((item) => pack(resolved.of, item));
    case "map":
      return mapEntries(value as object, (item) => pack(resolved.of, item));
    case "object":
      return packFields(resolved.fields, value as Readonly<Record<string, unknown>>);
    case "datetime":
      return isoTime(value as Date);
    case "none":
      return null;
    case "any":
      return packAny(value);
    default:
      return packReference(value);
  }
}

/** As Python's `isoformat` writes it, so that equal structures have equal bytes in both languages. */
function isoTime(date: Date): string {
  return date
    .toISOString()
    .replace(/(?:\.000|(\.\d{3}))Z$/, (_, fraction?: string) =>
      fraction === undefined ? "+00:00" : `${fraction}000+00:00`,
    );
}

function packFields(fields: readonly ObjectField[], value: Readonly<Record<string, unknown>>): object {
  return Object.fromEntries(fields.map((field) => [field.name, pack(field.type, value[field.name])]));
}

function packReference(value: unknown): unknown {
  const isReference =
    value instanceof File || value instanceof Dir || value instanceof DataFrame || value instanceof Duration;
  return isReference ? value.toJSON() : value;
}

/** Plain data without a schema: what has a plain form takes it, and comes back as that. */
function packAny(value: unknown): unknown {
  if (value instanceof Date) return isoTime(value);
  if (value instanceof Uint8Array || typeof value !== "object" || value === null) {
    if (typeof value !== "function" && typeof value !== "symbol") return value ?? null;
    throw new TypeError(`A ${typeof value} can't cross between actions.`);
  }
  if (Array.isArray(value)) return value.map(packAny);
  const plain = packReference(value);
  if (plain !== value) return plain;
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype === Object.prototype || prototype === null) return mapEntries(value, packAny);
  throw new TypeError(
    `A ${value.constructor.name} can't cross between actions without a schema. Give the task or step a schema, or return a plain object.`,
  );
}

function mapEntries(value: object, convert: (item: unknown) => unknown): object {
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, convert(item)]));
}

function unpack(type: ValueType, plain: unknown, place: string): unknown {
  const resolved = resolveType(type);
  switch (resolved.kind) {
    case "optional":
      return plain === null || plain === undefined ? resolved.empty : unpack(resolved.of, plain, place);
    case "union":
      return unpackUnion(resolved.variants, plain, place);
    case "list":
      if (!Array.isArray(plain)) throw mismatch(place, type, plain);
      return plain.map((item, index) => unpack(resolved.of, item, `${place}[${index}]`));
    case "map":
      if (!isRecord(plain)) throw mismatch(place, type, plain);
      return mapEntries(plain, (item) => unpack(resolved.of, item, place));
    case "object":
      if (!isRecord(plain)) throw mismatch(place, type, plain);
      return unpackFields(resolved.fields, plain, place);
    case "any":
      return unpackAny(plain);
    default:
      return unpackSimple(resolved, plain, place);
  }
}

function unpackFields(
  fields: readonly ObjectField[],
  plain: Readonly<Record<string, unknown>>,
  place: string,
): object {
  const entries = fields.map(
    (field) => [field.name, unpack(field.type, plain[field.name], `${place}.${field.name}`)] as const,
  );
  return Object.fromEntries(entries.filter(([, value]) => value !== undefined));
}

/** The first variant whose form and values fit: nothing inside a structure says which one it was. */
function unpackUnion(variants: readonly ValueType[], plain: unknown, place: string): unknown {
  for (const variant of variants) {
    try {
      const value = unpack(variant, plain, place);
      if (matches(variant, value)) return value;
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
    }
  }
  throw mismatch(place, { kind: "union", variants }, plain);
}

function unpackSimple(type: ValueType, plain: unknown, place: string): unknown {
  const value = simpleUnpackers[type.kind]?.(plain) ?? (type.kind === "none" ? undefined : plain);
  if (type.kind === "none" || matches(type, value)) return value;
  throw mismatch(place, type, plain);
}

const simpleUnpackers: Readonly<Record<string, ((plain: unknown) => unknown) | undefined>> = {
  integer: (plain) => (typeof plain === "bigint" ? Number(plain) : plain),
  float: (plain) => (typeof plain === "bigint" ? Number(plain) : plain),
  bigint: (plain) => (typeof plain === "number" && Number.isSafeInteger(plain) ? BigInt(plain) : plain),
  datetime: (plain) => (typeof plain === "string" ? new Date(plain) : plain),
  duration: (plain) => (typeof plain === "number" ? Duration.seconds(plain) : plain),
  file: (plain) => fromReference(plain, "path", (uri, options) => new File(uri, options)),
  directory: (plain) => fromReference(plain, "path", (uri, options) => new Dir(uri, options)),
  dataFrame: (plain) => fromReference(plain, "uri", (uri, options) => new DataFrame(uri, options)),
};

function fromReference<T>(
  plain: unknown,
  uriName: string,
  build: (uri: string, options: { format?: string; hash?: string }) => T,
): T | undefined {
  if (!isRecord(plain) || typeof plain[uriName] !== "string") return undefined;
  const { format, hash } = plain;
  return build(plain[uriName], {
    ...(typeof format === "string" && format !== "" ? { format } : {}),
    ...(typeof hash === "string" ? { hash } : {}),
  });
}

/** Integers come as `bigint` from the decoder; those that a number holds exactly are numbers. */
function unpackAny(plain: unknown): unknown {
  if (typeof plain === "bigint") {
    const number = Number(plain);
    return Number.isSafeInteger(number) ? number : plain;
  }
  if (Array.isArray(plain)) return plain.map(unpackAny);
  return isRecord(plain) ? mapEntries(plain, unpackAny) : plain;
}

function isRecord(plain: unknown): plain is Readonly<Record<string, unknown>> {
  return (
    typeof plain === "object" &&
    plain !== null &&
    !Array.isArray(plain) &&
    !(plain instanceof Uint8Array) &&
    !(plain instanceof Date)
  );
}
