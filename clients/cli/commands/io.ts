/** `biplane io`: what an action was given and what it gave back. Both come from the data plane and nowhere else. */
import { rootAction } from "@biplane/base";
import type { flyte } from "@biplane/data-wire";
import { RemoteClient } from "@biplane/sdk/remote";
import { typeOfLiteralType } from "@biplane/sdk/types/literal-type";
import { decodeValue } from "@biplane/sdk/values/decode";
import { Command } from "commander";
import { plain, printValue } from "../output/print.ts";
import { type CommonOptions, connectWith, withCommonOptions } from "./common.ts";

interface IoOptions extends CommonOptions {
  readonly inputs?: boolean;
  readonly outputs?: boolean;
}

export function ioCommand(): Command {
  return withCommonOptions(
    new Command("io")
      .description("show an action's inputs and outputs")
      .argument("<run>")
      .argument("[action]", "the root action by default", rootAction)
      .option("--inputs", "inputs only")
      .option("--outputs", "outputs only"),
  ).action(io);
}

async function io(runName: string, action: string, options: IoOptions): Promise<void> {
  const connection = await connectWith(options);
  const run = new RemoteClient(connection).getRun(runName).id;
  const actionId = { run, name: action };
  const [data, { details }] = await Promise.all([
    connection.data.getActionData({ actionId }),
    connection.runs.getActionDetails({ actionId }),
  ]);
  const spec = details?.spec;
  const types = spec?.case === "task" ? spec.value.taskTemplate?.interface : spec?.value?.interface;
  const inputs = valuesOf(data.inputs?.literals ?? [], types?.inputs);
  const outputs = valuesOf(data.outputs?.literals ?? [], types?.outputs);
  const both = { inputs, outputs };
  const shown = options.inputs === true ? inputs : options.outputs === true ? outputs : both;
  printValue(shown, options.output === "table" ? "yaml" : options.output);
}

function valuesOf(
  literals: readonly flyte.task.NamedLiteral[],
  variables: flyte.core.VariableMap | undefined,
): Record<string, unknown> {
  const types = new Map((variables?.variables ?? []).map(({ key, value }) => [key, value?.type]));
  const entries = literals.map(({ name, value }) => {
    const type = typeOfLiteralType(types.get(name));
    return [name, value === undefined ? null : plain(decodeValue(type, value, name))] as const;
  });
  return Object.fromEntries(entries);
}
