/** Reads a schema's shape. Zod 4 tells it (`_zod.def`); any other Standard Schema validates and its values are `any`. */
import type { StandardSchemaV1 } from "@standard-schema/spec";
import { markOf } from "./marks.ts";
import type { ObjectField, ValueType } from "./value-type.ts";

interface Definition {
  readonly type: string;
  readonly [name: string]: unknown;
}
interface ZodLike {
  readonly _zod: { readonly def: Definition };
  readonly meta?: () => Readonly<Record<string, unknown>> | undefined;
}
type Reader = (definition: Definition, title: string, schema: ZodLike) => ValueType;

export function typeOfSchema(schema: StandardSchemaV1 | undefined, title = "Value"): ValueType {
  if (schema === undefined) return { kind: "none" };
  return isZod(schema) ? read(schema, title) : { kind: "any" };
}

function isZod(schema: object): schema is ZodLike {
  return "_zod" in schema;
}

function read(schema: ZodLike, title: string): ValueType {
  const definition = schema._zod.def;
  const mark = markOf(definition);
  if (mark !== undefined) return { kind: mark };
  const reader = readers[definition.type];
  if (reader !== undefined) return reader(definition, title, schema);
  throw new TypeError(
    `A value of type ${JSON.stringify(definition.type)} can't cross between actions (at ${title}). ${remedy(definition.type)}`,
  );
}

function remedy(type: string): string {
  if (type === "custom")
    return "Use bytes(), file(), dir(), dataFrame() or duration() of @biplane/sdk, or a plain object.";
  if (type === "transform") return "Transform inside the task; the schema describes what crosses.";
  return "Use an object, list, record, union, enum, string, number, bigint, boolean or date.";
}

const passInner: Reader = (definition, title) => read(definition["innerType"] as ZodLike, title);

const readers: Readonly<Record<string, Reader | undefined>> = {
  string: () => ({ kind: "string" }),
  template_literal: () => ({ kind: "string" }),
  number: (definition) => ({ kind: isWholeNumber(definition) ? "integer" : "float" }),
  bigint: () => ({ kind: "bigint" }),
  boolean: () => ({ kind: "boolean" }),
  date: () => ({ kind: "datetime" }),
  any: () => ({ kind: "any" }),
  unknown: () => ({ kind: "any" }),
  null: () => ({ kind: "none" }),
  undefined: () => ({ kind: "none" }),
  void: () => ({ kind: "none" }),
  literal: (definition, title) => literalType(definition["values"] as readonly unknown[], title),
  enum: (definition, title) => literalType(Object.values(definition["entries"] as object), title),
  array: (definition, title) => ({
    kind: "list",
    of: read(definition["element"] as ZodLike, `${title}Item`),
  }),
  tuple: (definition, title) => tupleType(definition, title),
  record: (definition, title) => ({
    kind: "map",
    of: read(definition["valueType"] as ZodLike, `${title}Value`),
  }),
  object: objectType,
  union: (definition, title) => {
    const options = definition["options"] as readonly ZodLike[];
    return { kind: "union", variants: options.map((option, index) => read(option, `${title}${index + 1}`)) };
  },
  optional: (definition, title) => ({
    kind: "optional",
    of: read(definition["innerType"] as ZodLike, title),
    empty: undefined,
  }),
  nullable: (definition, title) => ({
    kind: "optional",
    of: read(definition["innerType"] as ZodLike, title),
    empty: null,
  }),
  default: passInner,
  prefault: passInner,
  nonoptional: passInner,
  readonly: passInner,
  catch: passInner,
  pipe: (definition, title) => read(definition["out"] as ZodLike, title),
  lazy: (definition, title) => {
    let resolved: ValueType | undefined;
    const getter = definition["getter"] as () => ZodLike;
    return {
      kind: "lazy",
      resolve: () => {
        resolved ??= read(getter(), title);
        return resolved;
      },
    };
  },
};

function isWholeNumber(definition: Definition): boolean {
  const checks = (definition["checks"] ?? []) as readonly ZodLike[];
  const formats = [definition["format"], ...checks.map((check) => check._zod.def["format"])];
  return formats.some((format) => typeof format === "string" && /int/.test(format));
}

function literalType(values: readonly unknown[], title: string): ValueType {
  if (values.every((value) => typeof value === "string")) return { kind: "enum", values };
  if (values.every((value) => Number.isSafeInteger(value))) return { kind: "integer" };
  if (values.every((value) => typeof value === "boolean")) return { kind: "boolean" };
  if (values.every((value) => value === null || value === undefined)) return { kind: "none" };
  throw new TypeError(`Literals of different types can't cross between actions (at ${title}). Use a union.`);
}

function tupleType(definition: Definition, title: string): ValueType {
  const items = [...(definition["items"] as readonly ZodLike[]), ...asList(definition["rest"])];
  const types = items.map((item, index) => read(item, `${title}${index + 1}`));
  const [first] = types;
  const alike = types.every((type) => JSON.stringify(type) === JSON.stringify(first));
  return {
    kind: "list",
    of: alike && first !== undefined ? first : { kind: "union", variants: types },
  };
}

function asList(schema: unknown): readonly ZodLike[] {
  return schema === null || schema === undefined ? [] : [schema as ZodLike];
}

function objectType(definition: Definition, title: string, schema: ZodLike): ValueType {
  const shape = definition["shape"] as Readonly<Record<string, ZodLike>>;
  const meta = schema.meta?.();
  const named = meta?.["title"] ?? meta?.["id"];
  const ownTitle = typeof named === "string" ? named : title;
  const fields = Object.entries(shape).map(([name, field]) => objectField(name, field, ownTitle));
  return { kind: "object", title: ownTitle, fields };
}

function objectField(name: string, schema: ZodLike, title: string): ObjectField {
  const description = schema.meta?.()?.["description"];
  return {
    name,
    type: read(schema, `${title}${name.charAt(0).toUpperCase()}${name.slice(1)}`),
    description: typeof description === "string" ? description : undefined,
    defaultValue: defaultOf(schema),
  };
}

function defaultOf(schema: ZodLike): unknown {
  const definition = schema._zod.def;
  if (definition.type === "default" || definition.type === "prefault") return definition["defaultValue"];
  const inner = definition["innerType"];
  return inner === undefined ? undefined : defaultOf(inner as ZodLike);
}
