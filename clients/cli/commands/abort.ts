/** `biplane abort`: ends a run, or one action with everything below it. The reason stays in the data plane. */
import { RemoteClient } from "@biplane/sdk/remote";
import { Command } from "commander";
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
    if (action === undefined) await run.abort(reason);
    else await connection.runs.abortAction({ actionId: { run: run.id, name: action }, reason });
    process.stderr.write(`Aborted ${action === undefined ? name : `${action} of ${name}`}.\n`);
  });
}
