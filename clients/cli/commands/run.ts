/** `biplane run`: a task of a local module, or a deployed one, with its inputs as options. */
import { statSync } from "node:fs";
import { BiplaneError } from "@biplane/base";
import type { flyte } from "@biplane/data-wire";
import {
  type Connection,
  chooseTask,
  createRun,
  inputFieldsOf,
  inspectModule,
  type Place,
  type PreparedModule,
  phaseName,
  placeRun,
  RemoteClient,
  RemoteRun,
  type RunOptions,
  Uploader,
  uploadModule,
  withDefaults,
} from "@biplane/sdk/remote";
import type { ObjectField } from "@biplane/sdk/types/value-type";
import { encodeInputs } from "@biplane/sdk/values/inputs-outputs";
import { Command } from "commander";
import { exitCodes } from "../exit-codes.ts";
import { addInputOptions, readInputs, requireInputs } from "../inputs.ts";
import { logText, plain, printRecord, printValue } from "../output/print.ts";
import { showProgress } from "../output/progress.ts";
import {
  type CommonOptions,
  connectWith,
  explainErrors,
  interruptSignal,
  withCommonOptions,
} from "./common.ts";

interface OwnOptions extends CommonOptions {
  readonly runName?: string;
  readonly wait?: boolean;
  readonly follow?: boolean;
  readonly env?: readonly string[];
  readonly label?: readonly string[];
  readonly external?: readonly string[];
  readonly taskVersion?: string;
}

export function runCommand(): Command {
  const command = new Command("run")
    .description("start a run of a task in a local module (file.ts), or of a deployed task by name")
    .argument("<module-or-task>", "path of a module, or a deployed task's name")
    .argument("[task]", "which of the module's tasks; then the task's inputs as options")
    .argument("[inputs...]", "--help after the task's name lists its inputs")
    .passThroughOptions()
    .allowUnknownOption()
    .action(async (target: string, task: string | undefined, rest: string[]) => {
      const isFlag = task?.startsWith("-") === true;
      const words = [...(isFlag && task !== undefined ? [task] : []), ...rest];
      await run(target, isFlag ? undefined : task, words, command.opts<OwnOptions>());
    });
  return withOwnOptions(command);
}

function withOwnOptions(command: Command): Command {
  const collect = (text: string, before?: readonly string[]) => [...(before ?? []), text];
  return withCommonOptions(command)
    .option("-w, --wait", "wait for the end; show progress, then the outputs")
    .option("-f, --follow", "like --wait, with the root action's log in place of the progress")
    .option("--run-name <name>", "name of the run; chosen for you by default")
    .option("--env <NAME=VALUE>", "environment variable for all of its tasks", collect)
    .option("--label <NAME=VALUE>", "label of the run", collect)
    .option("--external <package>", "leave a package to the cluster's installation", collect)
    .option("--task-version <version>", "version of a deployed task; the newest by default");
}

async function run(
  target: string,
  task: string | undefined,
  words: readonly string[],
  own: OwnOptions,
): Promise<void> {
  if (!isModule(target)) {
    return runDeployed(target, task === undefined ? words : [task, ...words], own);
  }
  const module = await inspectModule(target, own.external ?? []);
  const chosen = chooseTask(module.tasks, task, target);
  const given = parseInputs(`run ${target} ${chosen.exportName}`, chosen.spec, words, own);
  const connection = await connectWith(given.options);
  const place = await placeRun(connection);
  const spec = await uploadedSpec(connection, place, module, chosen.name);
  await submit(place, spec, given);
}

async function runDeployed(name: string, words: readonly string[], own: OwnOptions): Promise<void> {
  const connection = await connectWith(own);
  const spec = await new RemoteClient(connection).deployedSpec(name, own.taskVersion);
  const given = parseInputs(`run ${name}`, spec, words, own);
  await submit(await placeRun(connection), spec, given);
}

function isModule(target: string): boolean {
  if (statSync(target, { throwIfNoEntry: false })?.isFile() === true) return true;
  if (!/[/\\]|\.[cm]?[jt]sx?$/.test(target)) return false;
  throw new BiplaneError("not_found", {
    what: `There is no file ${target}.`,
    next: "Give the path of a module, or the name of a deployed task: biplane get task",
  });
}

async function uploadedSpec(
  connection: Connection,
  place: Place,
  module: PreparedModule,
  name: string,
): Promise<flyte.task.TaskSpec> {
  const tasks = await uploadModule(connection, place, module.bundle);
  return chooseTask(tasks, name, module.bundle.entry).spec;
}

interface Given {
  readonly options: OwnOptions;
  readonly values: Readonly<Record<string, string | readonly string[] | true | undefined>>;
}

/** The words after the task: its inputs, and this command's own options where no input has their name. */
function parseInputs(
  title: string,
  spec: flyte.task.TaskSpec,
  words: readonly string[],
  own: OwnOptions,
): Given {
  const inner = explainErrors(new Command(`biplane ${title}`).usage("[options]"));
  if (spec.documentation?.shortDescription) inner.description(spec.documentation.shortDescription);
  addInputOptions(inner, inputFieldsOf(spec));
  const names = new Set(inner.options.map((option) => option.attributeName()));
  const hidden: string[] = [];
  for (const option of withOwnOptions(new Command()).options) {
    if (names.has(option.attributeName())) {
      hidden.push(option.flags);
      continue;
    }
    option.defaultValue = undefined;
    inner.addOption(option);
  }
  if (hidden.length > 0)
    inner.addHelpText("after", `\nBefore the module, as they are inputs here: ${hidden.join("; ")}`);
  inner.parse(words, { from: "user" });
  requireInputs(inner, inputFieldsOf(spec));
  const values = inner.opts<Record<string, string>>();
  const ownGiven = Object.entries(values).filter(([name]) => !names.has(name));
  return { options: { ...own, ...Object.fromEntries(ownGiven) }, values };
}

async function submit(place: Place, spec: flyte.task.TaskSpec, { options, values }: Given): Promise<void> {
  const fields = inputFieldsOf(spec);
  const { connection } = place;
  const uploader = new Uploader(place.router, connection.http, place);
  const inputs = await readInputs(fields, values, uploader);
  const encoded = encode(fields, inputs);
  // From here on something may have begun: whoever presses Ctrl-C is told its name.
  const signal = interruptSignal();
  const told = () =>
    process.stderr.write("\nLearning whether the run has begun; Ctrl-C again ends at once.\n");
  signal.addEventListener("abort", told, { once: true });
  const id = await createRun(place, spec, encoded, runOptions(options));
  signal.removeEventListener("abort", told);
  const started = new RemoteRun(connection, id);
  if (options.wait !== true && options.follow !== true) {
    announce(started, options);
    return;
  }
  process.stderr.write(`Run ${started.name}  ${started.url}\n`);
  await follow(connection, started, options, signal);
}

function encode(fields: readonly ObjectField[], inputs: Record<string, unknown>): flyte.task.Inputs {
  try {
    return encodeInputs(fields, withDefaults(fields, inputs));
  } catch (cause) {
    if (!(cause instanceof TypeError)) throw cause;
    throw new BiplaneError("invalid_argument", cause.message, { cause });
  }
}

function announce(run: RemoteRun, options: OwnOptions): void {
  const { name, url } = run;
  const { project, domain } = run.id;
  printRecord({ run: name, project, domain, url }, options.output);
  if (options.output === "table") {
    process.stderr.write(`\nbiplane get run ${name}    biplane logs -f ${name}    biplane io ${name}\n`);
  }
}

function runOptions(options: OwnOptions): RunOptions {
  return {
    env: pairs(options.env ?? [], "--env"),
    labels: pairs(options.label ?? [], "--label"),
    ...(options.runName === undefined ? {} : { name: options.runName }),
  };
}

function pairs(texts: readonly string[], option: string): Record<string, string> {
  const entries = texts.map((text) => {
    const at = text.indexOf("=");
    if (at > 0) return [text.slice(0, at), text.slice(at + 1)] as const;
    throw new BiplaneError(
      "invalid_argument",
      `${option} has to be NAME=VALUE, not ${JSON.stringify(text)}.`,
    );
  });
  return Object.fromEntries(entries);
}

async function follow(
  connection: Connection,
  run: RemoteRun,
  options: OwnOptions,
  signal: AbortSignal,
): Promise<void> {
  try {
    await followToEnd(connection, run, options, signal);
  } catch (error) {
    if (!signal.aborted) throw error;
    process.stderr.write(`\nThe run goes on: biplane get run ${run.name}, biplane abort ${run.name}\n`);
    process.exitCode = exitCodes.interrupted;
  }
}

async function followToEnd(
  connection: Connection,
  run: RemoteRun,
  options: OwnOptions,
  signal: AbortSignal,
): Promise<void> {
  if (options.follow === true) await printLogs(run, signal);
  else await showProgress(connection, run.id, signal);
  const { succeeded, phase, error } = await run.wait(signal);
  if (succeeded) {
    const outputs = await run.outputs();
    if (outputs !== undefined)
      printValue(plain(outputs), options.output === "table" ? "json" : options.output);
    return;
  }
  process.stderr.write(`The run ${run.name} ${phase}.\n${error === undefined ? "" : `${error}\n`}`);
  process.stderr.write(`\nbiplane logs ${run.name}    biplane get action ${run.name} --phase failed\n`);
  process.exitCode = exitCodes.runFailed;
}

/** How long a log may say nothing before the run's phase does. */
const silenceMs = 3_000;

async function printLogs(run: RemoteRun, signal: AbortSignal): Promise<void> {
  const silence = setTimeout(() => void tellPhase(run), silenceMs);
  try {
    for await (const line of run.logs({ signal })) {
      clearTimeout(silence);
      process.stderr.write(`${logText(line)}\n`);
    }
  } finally {
    clearTimeout(silence);
  }
}

/** A hint to who waits; what is wrong with the connection the log's own stream tells. */
async function tellPhase(run: RemoteRun): Promise<void> {
  const details = await run.details().catch(() => undefined);
  if (details === undefined) return;
  process.stderr.write(`The run is ${phaseName(details.status?.phase ?? 0)}; its log has no line yet.\n`);
}
