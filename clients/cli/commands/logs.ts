/** `biplane logs`: the lines that an action's attempt printed, from the data plane, as they come with `-f`. */
import { rootAction } from "@biplane/base";
import { RemoteClient } from "@biplane/sdk/remote";
import { Command, Option } from "commander";
import { type CommonOptions, connectWith, interruptSignal, parseCount, withCommonOptions } from "./common.ts";

interface LogsOptions extends CommonOptions {
  readonly follow?: boolean;
  readonly attempt?: number;
  readonly timestamps?: boolean;
}

/** Without `-f`, an attempt that is still running is left after this long without a new line. */
const quietMs = 700;

export function logsCommand(): Command {
  return withCommonOptions(
    new Command("logs")
      .description("print an action's log")
      .argument("<run>")
      .argument("[action]", "the root action by default", rootAction)
      .option("-f, --follow", "go on until the attempt ends")
      .option("-t, --timestamps", "begin each line with its time")
      .addOption(new Option("--attempt <number>", "from 1; the newest by default").argParser(parseCount)),
  ).action(logs);
}

async function logs(runName: string, action: string, options: LogsOptions): Promise<void> {
  const connection = await connectWith(options);
  const run = new RemoteClient(connection).getRun(runName);
  const attempt = options.attempt ?? (await newestAttempt(connection, run.id, action));
  const interrupted = interruptSignal();
  const quiet = new AbortController();
  const signal = AbortSignal.any([interrupted, quiet.signal]);
  let timer = options.follow === true ? undefined : setTimeout(() => quiet.abort(), quietMs * 4);
  try {
    for await (const line of run.logs({ action, attempt, signal })) {
      const time = options.timestamps === true ? `${line.at?.toISOString() ?? ""} ` : "";
      const mark = line.originator === "system" ? "[biplane] " : "";
      if (options.output === "json") process.stdout.write(`${JSON.stringify(line)}\n`);
      else process.stdout.write(`${time}${mark}${line.text}\n`);
      if (timer === undefined) continue;
      clearTimeout(timer);
      timer = setTimeout(() => quiet.abort(), quietMs);
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    clearTimeout(timer);
  }
}

async function newestAttempt(
  connection: Awaited<ReturnType<typeof connectWith>>,
  run: { org: string; project: string; domain: string; name: string },
  action: string,
): Promise<number> {
  const { details } = await connection.runs.getActionDetails({ actionId: { run, name: action } });
  return Math.max(1, details?.status?.attempts ?? 1);
}
