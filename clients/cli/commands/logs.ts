/** `biplane logs`: the lines that an action's attempt printed, from the data plane, as they come with `-f`. */
import { rootAction } from "@biplane/base";
import { type LogLine, RemoteClient } from "@biplane/sdk/remote";
import { Command, Option } from "commander";
import { yamlItem } from "../output/print.ts";
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
  let count = 0;
  try {
    for await (const line of run.logs({ action, attempt, signal })) {
      process.stdout.write(`${textOf(line, options)}\n`);
      count += 1;
      if (timer === undefined) continue;
      clearTimeout(timer);
      timer = setTimeout(() => quiet.abort(), quietMs);
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    clearTimeout(timer);
  }
  if (count === 0 && !interrupted.aborted)
    process.stderr.write(nothingOf(action, attempt, quiet.signal.aborted));
}

function textOf(line: LogLine, { output, timestamps }: LogsOptions): string {
  if (output === "json") return JSON.stringify(line);
  if (output === "yaml") return yamlItem(line);
  const time = timestamps === true ? `${line.at?.toISOString() ?? ""} ` : "";
  return `${time}${line.originator === "system" ? "[biplane] " : ""}${line.text}`;
}

/** Of an attempt all of whose lines were dropped nothing tells that it ever printed. */
function nothingOf(action: string, attempt: number, goesOn: boolean): string {
  const what = `No lines of attempt ${attempt} of ${action}`;
  return goesOn
    ? `${what} yet; -f waits for them.\n`
    : `${what}: it printed none, or they were dropped since (biplane data start --log-days, --log-gib).\n`;
}

async function newestAttempt(
  connection: Awaited<ReturnType<typeof connectWith>>,
  run: { org: string; project: string; domain: string; name: string },
  action: string,
): Promise<number> {
  const { details } = await connection.runs.getActionDetails({ actionId: { run, name: action } });
  return Math.max(1, details?.status?.attempts ?? 1);
}
