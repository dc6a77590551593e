/**
 * What a value is, between a schema that people write and a Flyte type that crosses the wire. Everything that encodes,
 * decodes or explains a value is decided from this description alone.
 */
export type ValueType =
  | { readonly kind: SimpleKind }
  | { readonly kind: "enum"; readonly values: readonly string[] }
  | { readonly kind: "list"; readonly of: ValueType }
  | { readonly kind: "map"; readonly of: ValueType }
  | { readonly kind: "object"; readonly title: string; readonly fields: readonly ObjectField[] }
  | { readonly kind: "union"; readonly variants: readonly ValueType[] }
  | { readonly kind: "optional"; readonly of: ValueType; readonly empty: null | undefined }
  /** A type that contains itself; resolved where it is reached. */
  | { readonly kind: "lazy"; readonly resolve: () => ValueType };

export type SimpleKind =
  | "none"
  | "string"
  /** A whole number that a `number` holds exactly. */
  | "integer"
  /** 64 bits, signed. */
  | "bigint"
  | "float"
  | "boolean"
  | "datetime"
  | "duration"
  | "bytes"
  | "file"
  | "directory"
  | "dataFrame"
  /** Plain data whose shape nobody declared. */
  | "any";

export interface ObjectField {
  readonly name: string;
  readonly type: ValueType;
  readonly description: string | undefined;
  /** Taken where the caller gives nothing; undefined: there is none. */
  readonly defaultValue: unknown;
}

/** Follows `lazy` down to a type that says something. */
export function resolveType(type: ValueType): Exclude<ValueType, { kind: "lazy" }> {
  let resolved = type;
  for (let depth = 0; resolved.kind === "lazy" && depth < 100; depth += 1) resolved = resolved.resolve();
  if (resolved.kind === "lazy") throw new TypeError("A schema refers to itself without any content.");
  return resolved;
}

/** For people: `list of string`. */
export function describeType(type: ValueType): string {
  const resolved = resolveType(type);
  switch (resolved.kind) {
    case "enum":
      return resolved.values.map((value) => JSON.stringify(value)).join(" | ");
    case "list":
      return `list of ${describeType(resolved.of)}`;
    case "map":
      return `map of ${describeType(resolved.of)}`;
    case "object":
      return resolved.title;
    case "union":
      return resolved.variants.map(describeType).join(" | ");
    case "optional":
      return `optional ${describeType(resolved.of)}`;
    default:
      return resolved.kind;
  }
}
