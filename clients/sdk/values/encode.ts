/** Values as Flyte literals, byte for byte what Python's SDK writes for the same value. */

import * as flyteCore from "@biplane/data-wire/flyte/core";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { variantsOf, variantTypeOf } from "../types/literal-type.ts";
import { resolveType, type ValueType } from "../types/value-type.ts";
import type { DataFrame } from "./data-frame.ts";
import type { Dir } from "./dir.ts";
import type { Duration } from "./duration.ts";
import type { File } from "./file.ts";
import { matches } from "./matches.ts";
import { mismatch } from "./mismatch.ts";
import { packBytes } from "./packed.ts";

export type Literal = flyteCore.Literal;
type LiteralInit = MessageInitShape<typeof flyteCore.LiteralSchema>;
type PrimitiveInit = MessageInitShape<typeof flyteCore.PrimitiveSchema>;

/** `place` names the value in errors, as in `input.names`. */
export function encodeValue(type: ValueType, value: unknown, place: string): Literal {
  return create(flyteCore.LiteralSchema, initOf(type, value, place));
}

function initOf(type: ValueType, value: unknown, place: string): LiteralInit {
  const resolved = resolveType(type);
  if (resolved.kind === "union" || resolved.kind === "optional") return unionInit(resolved, value, place);
  if (!matches(resolved, value)) throw mismatch(place, type, value);
  switch (resolved.kind) {
    case "list":
      return listInit(resolved.of, value as readonly unknown[], place);
    case "map":
      return mapInit(resolved.of, value as Readonly<Record<string, unknown>>, place);
    case "object":
    case "any":
      return scalar({
        case: "binary",
        value: { value: packBytes(resolved, value), tag: "msgpack" },
      });
    default:
      return simpleInit(resolved, value);
  }
}

function listInit(of: ValueType, values: readonly unknown[], place: string): LiteralInit {
  const literals = values.map((item, index) => initOf(of, item, `${place}[${index}]`));
  return { value: { case: "collection", value: { literals } } };
}

/** Keys in order, so that equal maps give equal bytes and so equal action names. */
function mapInit(of: ValueType, values: Readonly<Record<string, unknown>>, place: string): LiteralInit {
  const keys = Object.keys(values).sort();
  const literals = Object.fromEntries(keys.map((key) => [key, initOf(of, values[key], `${place}.${key}`)]));
  return { value: { case: "map", value: { literals } } };
}

function unionInit(type: ValueType, value: unknown, place: string): LiteralInit {
  const variant = variantsOf(type).find((candidate) => matches(candidate, value));
  if (variant === undefined) throw mismatch(place, type, value);
  return scalar({
    case: "union",
    value: { value: initOf(variant, value, place), type: variantTypeOf(variant) },
  });
}

function simpleInit(type: Exclude<ValueType, { kind: "lazy" }>, value: unknown): LiteralInit {
  switch (type.kind) {
    case "none":
      return scalar({ case: "noneType", value: {} });
    case "bytes":
      return scalar({ case: "binary", value: { value: value as Uint8Array, tag: "" } });
    case "file":
      return fileInit(value as File);
    case "directory":
      return blobInit((value as Dir).uri, (value as Dir).format, 1);
    case "dataFrame":
      return tableInit(value as DataFrame);
    default:
      return scalar({ case: "primitive", value: { value: primitive(type, value) } });
  }
}

function primitive(type: ValueType, value: unknown): NonNullable<PrimitiveInit["value"]> {
  switch (type.kind) {
    case "integer":
    case "bigint":
      return { case: "integer", value: BigInt(value as number | bigint) };
    case "float":
      return { case: "floatValue", value: value as number };
    case "boolean":
      return { case: "boolean", value: value as boolean };
    case "datetime":
      return { case: "datetime", value: spanOf((value as Date).getTime(), "floor") };
    case "duration":
      return { case: "duration", value: spanOf((value as Duration).milliseconds, "truncate") };
    default:
      return { case: "stringValue", value: value as string };
  }
}

/** Seconds and nanoseconds: both of one sign in a duration, nanoseconds positive in a time. */
function spanOf(milliseconds: number, rounding: "floor" | "truncate"): { seconds: bigint; nanos: number } {
  const seconds = rounding === "floor" ? Math.floor(milliseconds / 1_000) : Math.trunc(milliseconds / 1_000);
  const nanos = Math.round((milliseconds - seconds * 1_000) * 1_000) * 1_000;
  return { seconds: BigInt(seconds), nanos };
}

function fileInit(file: File): LiteralInit {
  const init = blobInit(file.uri, file.format, 0);
  return file.hash === undefined ? init : { ...init, hash: file.hash };
}

function blobInit(uri: string, format: string, dimensionality: 0 | 1): LiteralInit {
  return scalar({ case: "blob", value: { uri, metadata: { type: { format, dimensionality } } } });
}

const columnTypes = {
  integer: flyteCore.SimpleType.INTEGER,
  float: flyteCore.SimpleType.FLOAT,
  string: flyteCore.SimpleType.STRING,
  boolean: flyteCore.SimpleType.BOOLEAN,
  datetime: flyteCore.SimpleType.DATETIME,
  duration: flyteCore.SimpleType.DURATION,
} as const;

function tableInit(table: DataFrame): LiteralInit {
  const columns = table.columns.map((column) => ({
    name: column.name,
    literalType: { type: { case: "simple" as const, value: columnTypes[column.type] } },
  }));
  const structuredDatasetType = { format: table.format, columns };
  return scalar({
    case: "structuredDataset",
    value: { uri: table.uri, metadata: { structuredDatasetType } },
  });
}

function scalar(value: MessageInitShape<typeof flyteCore.ScalarSchema>["value"]): LiteralInit {
  return { value: { case: "scalar", value: { value } } } as LiteralInit;
}
