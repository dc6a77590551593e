/** Inputs of runs: defaults filled in, bounded, stored under their own digest, so that the same bytes are one object. */
import { createHash } from "node:crypto";
import { BiplaneError, limits, MiB, type ProjectDomain } from "@biplane/base";
import { flyte } from "@biplane/data-wire";
import { objectUri, offloadedInputsPrefix } from "@biplane/layout";
import { create, toBinary } from "@bufbuild/protobuf";
import type { ApiParts } from "./parts.ts";

const { InputsSchema } = flyte.task;
export const inputsFile = "inputs.pb";

export interface StoredInputs {
  /** Directory, as Flyte wants it: the file in it is `inputs.pb`. */
  readonly directoryUri: string;
  /** Names the values, those left out that the task's cache ignores. */
  readonly inputsHash: string;
}

/** What is given, and the specification's defaults for what is not. */
export function withDefaults(
  inputs: flyte.task.Inputs | undefined,
  spec: flyte.task.TaskSpec | undefined,
): flyte.task.Inputs {
  const given = inputs ?? create(InputsSchema);
  const names = new Set(given.literals.map((literal) => literal.name));
  for (const { name, parameter } of spec?.defaultInputs ?? []) {
    const fallback = parameter?.behavior.case === "default" ? parameter.behavior.value : undefined;
    if (fallback === undefined || names.has(name)) continue;
    given.literals.push(create(flyte.task.NamedLiteralSchema, { name, value: fallback }));
  }
  return given;
}

export async function storeInputs(
  stores: Pick<ApiParts, "objects">,
  scope: ProjectDomain,
  inputs: flyte.task.Inputs,
  spec: flyte.task.TaskSpec | undefined,
): Promise<StoredInputs> {
  const bytes = toBinary(InputsSchema, inputs);
  if (bytes.length > limits.inputBytesMax) throw tooLarge(bytes.length);
  const digest = createHash("sha256").update(bytes).digest("hex");
  const directory = `${offloadedInputsPrefix(scope)}${digest}`;
  await stores.objects.put(`${directory}/${inputsFile}`, bytes);
  return {
    directoryUri: objectUri(stores.objects.bucket, directory),
    inputsHash: hashOf(inputs, spec?.taskTemplate?.metadata?.cacheIgnoreInputVars ?? []),
  };
}

export function inputsUriIn(directoryUri: string): string {
  return `${directoryUri.replace(/\/$/, "")}/${inputsFile}`;
}

function hashOf(inputs: flyte.task.Inputs, ignored: readonly string[]): string {
  const literals = inputs.literals.filter((literal) => !ignored.includes(literal.name));
  const counted = create(InputsSchema, { literals, context: inputs.context });
  return createHash("sha256").update(toBinary(InputsSchema, counted)).digest("base64url");
}

function tooLarge(bytes: number): BiplaneError {
  return new BiplaneError(
    "invalid_argument",
    {
      what: `The inputs have ${bytes} bytes, too many to be given as values.`,
      why: `At most ${limits.inputBytesMax} bytes (${limits.inputBytesMax / MiB} MiB) are taken.`,
      next: "Pass large data as a file, a directory or a data frame.",
    },
    { reason: "inputs_too_large" },
  );
}
