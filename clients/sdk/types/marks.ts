/** How a schema of ours says what it stands for: a mark in its definition, which Zod keeps through every refinement. */
import type { SimpleKind } from "./value-type.ts";

const mark = "biplane";

interface MarkedDefinition {
  [mark]?: SimpleKind;
}

export function markSchema<S extends { _zod: { def: object } }>(schema: S, kind: SimpleKind): S {
  (schema._zod.def as MarkedDefinition)[mark] = kind;
  return schema;
}

export function markOf(definition: object): SimpleKind | undefined {
  return (definition as MarkedDefinition)[mark];
}
