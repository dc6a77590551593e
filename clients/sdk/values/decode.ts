/** Flyte literals as values, whoever wrote them. */

import * as flyteCore from "@biplane/data-wire/flyte/core";
import { equals } from "@bufbuild/protobuf";
import { variantsOf, variantTypeOf } from "../types/literal-type.ts";
import { resolveType, type SimpleKind, type ValueType } from "../types/value-type.ts";
import { type Column, DataFrame } from "./data-frame.ts";
import { Dir } from "./dir.ts";
import { Duration } from "./duration.ts";
import type { Literal } from "./encode.ts";
import { File } from "./file.ts";
import { mismatch } from "./mismatch.ts";
import { unpackBytes } from "./packed.ts";

type Scalar = flyteCore.Scalar["value"];

export function decodeValue(type: ValueType, literal: Literal, place: string): unknown {
  const resolved = resolveType(type);
  const { value } = literal;
  if (value.case === "scalar" && value.value.value.case === "union")
    return fromUnion(resolved, value.value.value.value, place);
  switch (resolved.kind) {
    case "optional":
      return isNone(literal) ? resolved.empty : decodeValue(resolved.of, literal, place);
    case "union":
      return fromFirstFit(resolved.variants, literal, place);
    case "list":
      if (value.case !== "collection") return fromPacked(resolved, literal, place);
      return value.value.literals.map((item, index) => decodeValue(resolved.of, item, `${place}[${index}]`));
    case "map":
      if (value.case !== "map") return fromPacked(resolved, literal, place);
      return Object.fromEntries(
        Object.entries(value.value.literals).map(([key, item]) => [
          key,
          decodeValue(resolved.of, item, `${place}.${key}`),
        ]),
      );
    case "any":
      return fromAnything(literal, place);
    default:
      if (value.case !== "scalar") throw mismatch(place, type, value.case);
      return fromScalar(resolved, value.value.value, literal, place);
  }
}

function isNone(literal: Literal): boolean {
  return literal.value.case === "scalar" && literal.value.value.value.case === "noneType";
}

function fromUnion(type: ValueType, union: flyteCore.Union, place: string): unknown {
  const inner = union.value;
  if (inner === undefined) throw mismatch(place, type, undefined);
  if (type.kind === "optional" && isNone(inner)) return type.empty;
  if (type.kind === "any") return fromAnything(inner, place);
  const candidates = variantsOf(type);
  const named = candidates.find(
    (variant) =>
      union.type !== undefined && equals(flyteCore.LiteralTypeSchema, variantTypeOf(variant), union.type),
  );
  return named === undefined ? fromFirstFit(candidates, inner, place) : decodeValue(named, inner, place);
}

function fromFirstFit(variants: readonly ValueType[], literal: Literal, place: string): unknown {
  for (const variant of variants) {
    try {
      return decodeValue(variant, literal, place);
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
    }
  }
  throw mismatch(place, { kind: "union", variants }, literal.value.case);
}

function fromScalar(type: ValueType, scalar: Scalar, literal: Literal, place: string): unknown {
  switch (scalar.case) {
    case "primitive":
      return fromPrimitive(type, scalar.value.value, place);
    case "noneType":
      if (type.kind === "none") return undefined;
      break;
    case "binary":
      return type.kind === "bytes" && scalar.value.tag === ""
        ? scalar.value.value
        : unpackBytes(type, scalar.value.value, place);
    case "blob":
      return fromBlob(type, scalar.value, literal.hash, place);
    case "structuredDataset":
      if (type.kind === "dataFrame") return tableFrom(scalar.value);
      break;
    default:
      break;
  }
  throw mismatch(place, type, scalar.case);
}

function fromPacked(type: ValueType, literal: Literal, place: string): unknown {
  const scalar = literal.value.case === "scalar" ? literal.value.value.value : undefined;
  if (scalar?.case === "binary") return unpackBytes(type, scalar.value.value, place);
  throw mismatch(place, type, literal.value.case);
}

type Primitive = flyteCore.Primitive["value"];

function fromPrimitive(type: ValueType, primitive: Primitive, place: string): unknown {
  const accepted = type.kind === "enum" ? "stringValue" : primitiveCases[type.kind as SimpleKind];
  const isWholeFloat = type.kind === "float" && primitive.case === "integer";
  if (primitive.case !== accepted && !isWholeFloat) throw mismatch(place, type, primitive.case);
  switch (primitive.case) {
    case "integer":
      return type.kind === "bigint" ? primitive.value : exactNumber(primitive.value, place);
    case "datetime":
      return new Date(millisecondsOf(primitive.value));
    case "duration":
      return Duration.milliseconds(millisecondsOf(primitive.value));
    case "stringValue":
      if (type.kind === "enum" && !type.values.includes(primitive.value))
        throw mismatch(place, type, "other");
      return primitive.value;
    default:
      return primitive.value;
  }
}

const primitiveCases: Partial<Record<SimpleKind, Primitive["case"]>> = {
  integer: "integer",
  bigint: "integer",
  float: "floatValue",
  string: "stringValue",
  boolean: "boolean",
  datetime: "datetime",
  duration: "duration",
};

function exactNumber(value: bigint, place: string): number {
  const number = Number(value);
  if (Number.isSafeInteger(number)) return number;
  throw new TypeError(`${place} is too large for a number: use z.bigint() in the schema.`);
}

function millisecondsOf(span: { seconds: bigint; nanos: number }): number {
  return Number(span.seconds) * 1_000 + span.nanos / 1_000_000;
}

function fromBlob(type: ValueType, blob: flyteCore.Blob, hash: string, place: string): unknown {
  const format = blob.metadata?.type?.format ?? "";
  const isMany = blob.metadata?.type?.dimensionality === 1;
  if (type.kind === "file" && !isMany) return new File(blob.uri, hash === "" ? { format } : { format, hash });
  if (type.kind === "directory" && isMany) return new Dir(blob.uri, { format });
  throw mismatch(place, type, "blob");
}

function tableFrom(table: flyteCore.StructuredDataset): DataFrame {
  const type = table.metadata?.structuredDatasetType;
  const columns = (type?.columns ?? []).flatMap((column): Column[] => {
    const simple = column.literalType?.type.case === "simple" ? column.literalType.type.value : undefined;
    const name = simple === undefined ? undefined : columnNames[simple];
    return name === undefined ? [] : [{ name: column.name, type: name }];
  });
  const format = type?.format;
  return new DataFrame(table.uri, { columns, ...(format ? { format } : {}) });
}

const columnNames: Readonly<Record<number, Column["type"] | undefined>> = {
  [flyteCore.SimpleType.INTEGER]: "integer",
  [flyteCore.SimpleType.FLOAT]: "float",
  [flyteCore.SimpleType.STRING]: "string",
  [flyteCore.SimpleType.BOOLEAN]: "boolean",
  [flyteCore.SimpleType.DATETIME]: "datetime",
  [flyteCore.SimpleType.DURATION]: "duration",
};

/** A literal read without knowing its type: as what it says of itself. */
function fromAnything(literal: Literal, place: string): unknown {
  const { value } = literal;
  if (value.case === "collection") return value.value.literals.map((item) => fromAnything(item, place));
  if (value.case === "map")
    return Object.fromEntries(
      Object.entries(value.value.literals).map(([key, item]) => [key, fromAnything(item, place)]),
    );
  const scalar: Scalar = value.case === "scalar" ? value.value.value : { case: undefined };
  if (scalar.case === "primitive")
    return fromPrimitive(kindOfPrimitive(scalar.value.value), scalar.value.value, place);
  if (scalar.case === "binary")
    return scalar.value.tag === "msgpack"
      ? unpackBytes({ kind: "any" }, scalar.value.value, place)
      : scalar.value.value;
  if (scalar.case === "blob") {
    const isMany = scalar.value.metadata?.type?.dimensionality === 1;
    return fromBlob({ kind: isMany ? "directory" : "file" }, scalar.value, literal.hash, place);
  }
  if (scalar.case === "structuredDataset") return tableFrom(scalar.value);
  if (scalar.case === "union" && scalar.value.value !== undefined)
    return fromAnything(scalar.value.value, place);
  return scalar.case === "generic" ? scalar.value : null;
}

function kindOfPrimitive(primitive: Primitive): ValueType {
  if (primitive.case === "integer" && !Number.isSafeInteger(Number(primitive.value)))
    return { kind: "bigint" };
  const kind = Object.entries(primitiveCases).find(([, name]) => name === primitive.case)?.[0];
  return { kind: (kind ?? "string") as SimpleKind };
}
