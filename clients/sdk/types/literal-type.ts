/** Our description of a type as Flyte's, and back. Variants of unions carry the tags that Python's SDK looks for. */

import { flyte } from "@biplane/data-wire";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { jsonSchema } from "./json-schema.ts";
import { resolveType, type SimpleKind, type ValueType } from "./value-type.ts";

const { LiteralTypeSchema, SimpleType } = flyte.core;
export type LiteralType = flyte.core.LiteralType;
const structureName = "flyteidl2.core.TypeStructure";
type Init = MessageInitShape<typeof LiteralTypeSchema>;

const simpleTypes: Partial<Record<SimpleKind, flyte.core.SimpleType>> = {
  none: SimpleType.NONE,
  string: SimpleType.STRING,
  integer: SimpleType.INTEGER,
  bigint: SimpleType.INTEGER,
  float: SimpleType.FLOAT,
  boolean: SimpleType.BOOLEAN,
  datetime: SimpleType.DATETIME,
  duration: SimpleType.DURATION,
  bytes: SimpleType.BINARY,
  any: SimpleType.STRUCT,
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
  return create(LiteralTypeSchema, initOf(type));
}

/** The type as one of a union's variants. */
export function variantTypeOf(type: ValueType): LiteralType {
  const tag = pythonTags[resolveType(type).kind] ?? "";
  return create(LiteralTypeSchema, {
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
  const init: Init = { type: { case: "simple", value: simpleTypes[kind] ?? SimpleType.NONE } };
  return kind === "any" ? { ...init, annotation: packedAnnotation.annotations } : init;
}

function structureInit(type: Extract<ValueType, { kind: "object" }>): Init {
  return {
    type: { case: "simple", value: SimpleType.STRUCT },
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
  [SimpleType.NONE]: "none",
  [SimpleType.STRING]: "string",
  [SimpleType.INTEGER]: "integer",
  [SimpleType.FLOAT]: "float",
  [SimpleType.BOOLEAN]: "boolean",
  [SimpleType.DATETIME]: "datetime",
  [SimpleType.DURATION]: "duration",
  [SimpleType.BINARY]: "bytes",
  [SimpleType.STRUCT]: "any",
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
