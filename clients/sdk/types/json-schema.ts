/** JSON Schema of a type, in the form from which Python's Flyte SDK builds a dataclass for a structure it reads. */
import type { JsonObject } from "@bufbuild/protobuf";
import { type ObjectField, resolveType, type ValueType } from "./value-type.ts";

const nullable = (schema: JsonObject): JsonObject => ({ anyOf: [schema, { type: "null" }] });
const text: JsonObject = { type: "string" };
const reference = (title: string): JsonObject => ({
  type: "object",
  title,
  required: ["path"],
  properties: {
    path: text,
    name: { ...nullable(text), default: null },
    format: { ...text, default: "" },
    hash: { ...nullable(text), default: null },
  },
});

const simpleSchemas: Readonly<Record<string, JsonObject>> = {
  none: { type: "null" },
  string: text,
  integer: { type: "integer" },
  bigint: { type: "integer" },
  float: { type: "number" },
  boolean: { type: "boolean" },
  datetime: { type: "string", format: "date-time" },
  duration: { type: "number", format: "time-delta" },
  bytes: { type: "string", format: "base64" },
  file: reference("File"),
  directory: reference("Dir"),
  dataFrame: {
    type: "object",
    title: "DataFrame",
    properties: {
      uri: { ...nullable(text), default: null },
      format: { ...nullable(text), default: "" },
      hash: { ...nullable(text), default: null },
    },
  },
  any: {},
};

/** Types that contain themselves are cut off with `{}` below this depth. */
const depthMax = 12;

export function jsonSchema(type: ValueType, depth = 0): JsonObject {
  if (depth > depthMax) return {};
  const resolved = resolveType(type);
  switch (resolved.kind) {
    case "enum":
      return { type: "string", enum: [...resolved.values] };
    case "list":
      return { type: "array", items: jsonSchema(resolved.of, depth + 1) };
    case "map":
      return { type: "object", additionalProperties: jsonSchema(resolved.of, depth + 1) };
    case "union":
      return { anyOf: resolved.variants.map((variant) => jsonSchema(variant, depth + 1)) };
    case "optional":
      return nullable(jsonSchema(resolved.of, depth + 1));
    case "object":
      return objectSchema(resolved.title, resolved.fields, depth);
    default:
      return simpleSchemas[resolved.kind] ?? {};
  }
}

function objectSchema(title: string, fields: readonly ObjectField[], depth: number): JsonObject {
  const properties = fields.map((field) => [field.name, jsonSchema(field.type, depth + 1)] as const);
  return {
    type: "object",
    title,
    required: fields.map((field) => field.name),
    properties: Object.fromEntries(properties),
    additionalProperties: false,
  };
}
