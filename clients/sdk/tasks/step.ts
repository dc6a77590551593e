/** Functions whose results are recorded, so that a repeated attempt takes them up instead of working again. */
import type { StandardSchemaV1 } from "@standard-schema/spec";
import { currentScope } from "../running/scope.ts";
import { typeOfSchema } from "../types/from-schema.ts";
import type { ValueType } from "../types/value-type.ts";
import { decodeOutputs, encodeOutputs } from "../values/inputs-outputs.ts";

export interface StepOptions<O extends StandardSchemaV1> {
  /** Plain data needs no schema; files, dates and other rich values do, to come back as what they were. */
  readonly output: O;
}

/** Runs `work` once; in later attempts of the same task its recorded result is given back. */
export function step<T>(name: string, work: () => T | Promise<T>): Promise<T>;
export function step<O extends StandardSchemaV1>(
  name: string,
  options: StepOptions<O>,
  work: () => StandardSchemaV1.InferInput<O> | Promise<StandardSchemaV1.InferInput<O>>,
): Promise<StandardSchemaV1.InferOutput<O>>;
export async function step(
  name: string,
  optionsOrWork: StepOptions<StandardSchemaV1> | (() => unknown),
  maybeWork?: () => unknown,
): Promise<unknown> {
  const isPlain = typeof optionsOrWork === "function";
  const work = isPlain ? optionsOrWork : maybeWork;
  if (work === undefined) throw new TypeError(`The step ${JSON.stringify(name)} has no function to run.`);
  const scope = currentScope();
  if (scope === undefined) return work();
  const type: ValueType = isPlain ? { kind: "any" } : typeOfSchema(optionsOrWork.output, "Step");
  return scope.runStep(name, work, {
    encode: (value) => encodeOutputs(type, value, `result of step ${name}`),
    decode: (outputs) => decodeOutputs(type, outputs, `result of step ${name}`),
  });
}
