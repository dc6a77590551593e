/** A task's whole input and output as Flyte's `Inputs` and `Outputs` in bytes. */

import * as flyteTask from "@biplane/data-wire/flyte/task";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import type { ObjectField, ValueType } from "../types/value-type.ts";
import { decodeValue } from "./decode.ts";
import { encodeValue } from "./encode.ts";

/** The one output variable, as Python's SDK names it. */
export const outputName = "o0";

export function encodeInputs(
  fields: readonly ObjectField[],
  values: Readonly<Record<string, unknown>>,
): flyteTask.Inputs {
  const literals = fields.map((field) => ({
    name: field.name,
    value: encodeValue(field.type, values[field.name], `input.${field.name}`),
  }));
  return create(flyteTask.InputsSchema, { literals });
}

/** Variables that did not come are left out: the schema's defaults fill them. */
export function decodeInputs(fields: readonly ObjectField[], inputs: Uint8Array): Record<string, unknown> {
  const literals = new Map(
    fromBinary(flyteTask.InputsSchema, inputs).literals.map((literal) => [literal.name, literal.value]),
  );
  const entries = fields.flatMap((field) => {
    const literal = literals.get(field.name);
    if (literal === undefined) return [];
    const value = decodeValue(field.type, literal, `input.${field.name}`);
    return value === undefined ? [] : [[field.name, value] as const];
  });
  return Object.fromEntries(entries);
}

export function encodeOutputs(type: ValueType, value: unknown, place = "output"): Uint8Array {
  const literals = type.kind === "none" ? [] : [{ name: outputName, value: encodeValue(type, value, place) }];
  return toBinary(flyteTask.OutputsSchema, create(flyteTask.OutputsSchema, { literals }));
}

export function decodeOutputs(type: ValueType, outputs: Uint8Array, place = "output"): unknown {
  if (type.kind === "none") return undefined;
  const literal = fromBinary(flyteTask.OutputsSchema, outputs).literals.find(
    (one) => one.name === outputName,
  )?.value;
  if (literal === undefined) throw new TypeError(`${place} is missing.`);
  return decodeValue(type, literal, place);
}
