/** `biplane logs`: the lines that an action printed, from the data plane: of its newest attempt, and of each next one with `-f`. */
import { rootAction } from "@biplane/base";
import { type LogLine, RemoteClient } from "@biplane/sdk/remote";
import { Command, Option } from "commander";
import { logText, yamlItem } from "../output/print.ts";
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
      .option("-f, --follow", "go on, with each next attempt, until the action ends")
      .option("-t, --timestamps", "begin each line with its time")
      .addOption(
        new Option("--attempt <number>", "this one alone, from 1; the newest by default").argParser(
          parseCount,
        ),
      ),
  ).action(logs);
}

async function logs(runName: string, action: string, options: LogsOptions): Promise<void> {
  const connection = await connectWith(options);
  const run = new RemoteClient(connection).getRun(runName);
  const attempt = options.attempt ?? (await newestAttempt(connection, run.id, action));
  const which = options.follow === true && options.attempt === undefined ? { from: attempt } : { attempt };
  const interrupted = interruptSignal();
  const quiet = new AbortController();
  const signal = AbortSignal.any([interrupted, quiet.signal]);
  let timer = options.follow === true ? undefined : setTimeout(() => quiet.abort(), quietMs * 4);
  let count = 0;
  if (options.attempt === undefined && attempt > 1) process.stderr.write(earlierOnes(attempt));
  try {
    for await (const line of run.logs({ action, ...which, signal })) {
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
  return `${timestamps === true ? `${line.at?.toISOString() ?? ""} ` : ""}${logText(line)}`;
}

function earlierOnes(attempt: number): string {
  const earlier = attempt === 2 ? "--attempt 1 shows the one" : `--attempt 1 to ${attempt - 1} show those`;
  return `Attempt ${attempt}; ${earlier} before.\n`;
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
