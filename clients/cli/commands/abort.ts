/** `biplane abort`: ends a run, or one action with everything below it. The reason stays in the data plane. */
import { BiplaneError, rootAction } from "@biplane/base";
import { phaseName, RemoteClient } from "@biplane/sdk/remote";
import { isTerminal } from "@biplane/sdk/running/phases";
import { Command } from "commander";
import { printRecord } from "../output/print.ts";
import { type CommonOptions, connectWith, withCommonOptions } from "./common.ts";

export function abortCommand(): Command {
  return withCommonOptions(
    new Command("abort")
      .description("end a run, or one of its actions")
      .argument("<run>")
      .argument("[action]")
      .option("--reason <text>", "kept with the run"),
  ).action(async (name: string, action: string | undefined, options: CommonOptions & { reason?: string }) => {
    const connection = await connectWith(options);
    const run = new RemoteClient(connection).getRun(name);
    const reason = options.reason ?? "";
    const actionId = { run: run.id, name: action ?? rootAction };
    const what = action === undefined ? `The run ${name}` : `Action ${action} of ${name}`;
    const { details } = await connection.runs.getActionDetails({ actionId });
    const phase = details?.status?.phase ?? 0;
    if (isTerminal(phase)) throw hasEnded(what, phaseName(phase), name);
    if (action === undefined) await run.abort(reason);
    else await connection.runs.abortAction({ actionId, reason });
    if (options.output === "table") process.stderr.write(`${what} is aborted.\n`);
    else printRecord({ run: name, action: actionId.name, phase: "aborted" }, options.output);
  });
}

function hasEnded(what: string, phase: string, run: string): BiplaneError {
  return new BiplaneError("failed_precondition", {
    what: `${what} was not aborted.`,
    why: `It had ended before: ${phase}.`,
    next: `biplane get run ${run}`,
  });
}
