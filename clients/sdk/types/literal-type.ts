/** Our description of a type as Flyte's, and back. Variants of unions carry the tags that Python's SDK looks for. */

import * as flyteCore from "@biplane/data-wire/flyte/core";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { jsonSchema } from "./json-schema.ts";
import { resolveType, type SimpleKind, type ValueType } from "./value-type.ts";

export type LiteralType = flyteCore.LiteralType;
const structureName = "flyteidl2.core.TypeStructure";
type Init = MessageInitShape<typeof flyteCore.LiteralTypeSchema>;

const simpleTypes: Partial<Record<SimpleKind, flyteCore.SimpleType>> = {
  none: flyteCore.SimpleType.NONE,
  string: flyteCore.SimpleType.STRING,
  integer: flyteCore.SimpleType.INTEGER,
  bigint: flyteCore.SimpleType.INTEGER,
  float: flyteCore.SimpleType.FLOAT,
  boolean: flyteCore.SimpleType.BOOLEAN,
  datetime: flyteCore.SimpleType.DATETIME,
  duration: flyteCore.SimpleType.DURATION,
  bytes: flyteCore.SimpleType.BINARY,
  any: flyteCore.SimpleType.STRUCT,
};

/** Names of the transformers in Python's SDK, by which it finds a union's variant. */
const pythonTags: Readonly<Record<string, string>> = {
  none: "none",
  string: "str",
  integer: "int",
  bigint: "int",
  float: "float",
  boolean: "bool",
  datetime: "datetime",
  duration: "timedelta",
  bytes: "bytes",
  enum: "DefaultEnumTransformer",
  list: "Typed List",
  map: "Typed Dict",
  object: "Object-Dataclass-Transformer",
  any: "Typed Dict",
  file: "File",
  directory: "Dir",
  dataFrame: "DataFrame Transformer",
};

const packedAnnotation = {
  annotations: { annotations: { "cache-key-metadata": { "serialization-format": "msgpack" } } },
};

export function literalTypeOf(type: ValueType): LiteralType {
  return create(flyteCore.LiteralTypeSchema, initOf(type));
}

/** The type as one of a union's variants. */
export function variantTypeOf(type: ValueType): LiteralType {
  const tag = pythonTags[resolveType(type).kind] ?? "";
  return create(flyteCore.LiteralTypeSchema, {
    ...initOf(type),
    structure: { $typeName: structureName, tag, dataclassType: {} },
  });
}

/** An optional or a union, flattened: Python knows no union inside a union. */
export function variantsOf(type: ValueType): readonly ValueType[] {
  const resolved = resolveType(type);
  if (resolved.kind === "optional") return [...variantsOf(resolved.of), { kind: "none" }];
  if (resolved.kind === "union") return resolved.variants.flatMap(variantsOf);
  return [resolved];
}

function initOf(type: ValueType): Init {
  const resolved = resolveType(type);
  switch (resolved.kind) {
    case "enum":
      return { type: { case: "enumType", value: { values: [...resolved.values] } } };
    case "list":
      return { type: { case: "collectionType", value: initOf(resolved.of) } };
    case "map":
      return { type: { case: "mapValueType", value: initOf(resolved.of) } };
    case "optional":
    case "union":
      return { type: { case: "unionType", value: { variants: distinctVariants(resolved) } } };
    case "object":
      return structureInit(resolved);
    case "file":
      return { type: { case: "blob", value: { dimensionality: 0 } } };
    case "directory":
      return { type: { case: "blob", value: { dimensionality: 1 } } };
    case "dataFrame":
      return { type: { case: "structuredDatasetType", value: { format: "" } } };
    default:
      return simpleInit(resolved.kind);
  }
}

function simpleInit(kind: SimpleKind): Init {
  const init: Init = { type: { case: "simple", value: simpleTypes[kind] ?? flyteCore.SimpleType.NONE } };
  return kind === "any" ? { ...init, annotation: packedAnnotation.annotations } : init;
}

function structureInit(type: Extract<ValueType, { kind: "object" }>): Init {
  return {
    type: { case: "simple", value: flyteCore.SimpleType.STRUCT },
    metadata: jsonSchema(type),
    annotation: packedAnnotation.annotations,
    structure: { tag: pythonTags["object"] ?? "" },
  };
}

function distinctVariants(type: ValueType): LiteralType[] {
  const seen = new Set<string>();
  return variantsOf(type).flatMap((variant) => {
    const literalType = variantTypeOf(variant);
    const key = JSON.stringify(literalType, (_, value) => (typeof value === "bigint" ? `${value}` : value));
    if (seen.has(key)) return [];
    seen.add(key);
    return [literalType];
  });
}

const kindsOfSimpleTypes: Readonly<Record<number, SimpleKind>> = {
  [flyteCore.SimpleType.NONE]: "none",
  [flyteCore.SimpleType.STRING]: "string",
  [flyteCore.SimpleType.INTEGER]: "integer",
  [flyteCore.SimpleType.FLOAT]: "float",
  [flyteCore.SimpleType.BOOLEAN]: "boolean",
  [flyteCore.SimpleType.DATETIME]: "datetime",
  [flyteCore.SimpleType.DURATION]: "duration",
  [flyteCore.SimpleType.BINARY]: "bytes",
  [flyteCore.SimpleType.STRUCT]: "any",
};

/** For tasks that are known by their interface alone, whoever wrote them. Structures become plain data. */
export function typeOfLiteralType(literalType: LiteralType | undefined): ValueType {
  const type = literalType?.type;
  switch (type?.case) {
    case "simple":
      return { kind: kindsOfSimpleTypes[type.value] ?? "any" };
    case "enumType":
      return { kind: "enum", values: type.value.values };
    case "collectionType":
      return { kind: "list", of: typeOfLiteralType(type.value) };
    case "mapValueType":
      return { kind: "map", of: typeOfLiteralType(type.value) };
    case "blob":
      return { kind: type.value.dimensionality === 1 ? "directory" : "file" };
    case "structuredDatasetType":
      return { kind: "dataFrame" };
    case "unionType":
      return unionOf(type.value.variants.map(typeOfLiteralType));
    default:
      return { kind: "any" };
  }
}

function unionOf(variants: readonly ValueType[]): ValueType {
  const others = variants.filter((variant) => variant.kind !== "none");
  const [first] = others;
  const inner: ValueType =
    others.length === 1 && first !== undefined ? first : { kind: "union", variants: others };
  return others.length === variants.length ? inner : { kind: "optional", of: inner, empty: null };
}
