/** Programs that start runs and read their results from outside: `const client = await connect()`. */
import { BiplaneError, rootAction } from "@biplane/base";
import { flyte } from "@biplane/data-wire";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import { isSuccess, isTerminal } from "../running/phases.ts";
import { typeOfLiteralType } from "../types/literal-type.ts";
import type { ObjectField } from "../types/value-type.ts";
import { decodeValue } from "../values/decode.ts";
import { encodeInputs } from "../values/inputs-outputs.ts";
import { bundleModule } from "./bundle.ts";
import { type Connection, type ConnectOptions, openConnection, requireProject } from "./connection.ts";
import { type LogLine, linesOfAction, linesOfAttempt } from "./logs.ts";
import { phaseName } from "./phase-names.ts";
import { watchUntil } from "./reopening.ts";
import { chooseTask, createRun, placeRun, type RunOptions, uploadModule } from "./submit.ts";
import { Uploader } from "./upload.ts";

export interface RunSummary {
  readonly name: string;
  readonly task: string;
  readonly phase: string;
  readonly startedAt: Date | undefined;
  readonly endedAt: Date | undefined;
}

/** What to run: a task of a module on this machine, or a deployed task by name (its newest version by default). */
export type TaskReference =
  | { readonly file: string; readonly task?: string; readonly external?: readonly string[] }
  | { readonly name: string; readonly version?: string };

export async function connect(options: ConnectOptions = {}): Promise<RemoteClient> {
  return new RemoteClient(await openConnection(options));
}

export class RemoteClient {
  readonly connection: Connection;

  constructor(connection: Connection) {
    this.connection = connection;
  }

  /** Starts a run; resolves when both planes have it on disk. */
  async run(task: TaskReference, input: object = {}, options: RunOptions = {}): Promise<RemoteRun> {
    const place = await placeRun(this.connection);
    const spec =
      "file" in task
        ? chooseTask(
            await uploadModule(this.connection, place, await bundleModule(task.file, task.external)),
            task.task,
            task.file,
          ).spec
        : await this.deployedSpec(task.name, task.version);
    const inputs = encodeInputs(inputFieldsOf(spec), withDefaults(inputFieldsOf(spec), input));
    const id = await createRun(place, spec, inputs, options);
    return new RemoteRun(place.connection, id);
  }

  /** A local file's copy in the cluster's store, as an input for a run. */
  async upload(path: string): Promise<string> {
    const place = await placeRun(this.connection);
    return new Uploader(place.router, this.connection.http, place).file(path);
  }

  async deployedSpec(name: string, version?: string): Promise<flyte.task.TaskSpec> {
    const { profile, domain, tasks } = this.connection;
    const project = requireProject(this.connection);
    const taskId = {
      org: profile.org,
      project,
      domain,
      name,
      version: version ?? (await this.#newestVersion(name)),
    };
    const { details } = await tasks.getTaskDetails({ taskId });
    if (details?.spec !== undefined) return details.spec;
    throw new BiplaneError("not_found", `There is no deployed task ${name}.`);
  }

  async #newestVersion(name: string): Promise<string> {
    const { profile, domain, tasks } = this.connection;
    const { tasks: found } = await tasks.listTasks({
      request: {
        limit: 1,
        filters: [{ function: flyte.common.Filter_Function.EQUAL, field: "name", values: [name] }],
        sortByFields: [{ key: "created_at", direction: flyte.common.Sort_Direction.DESCENDING }],
      },
      scopeBy: {
        case: "projectId",
        value: { organization: profile.org, name: requireProject(this.connection), domain },
      },
    });
    const version = found[0]?.taskId?.version;
    if (version !== undefined) return version;
    throw new BiplaneError("not_found", {
      what: `There is no deployed task ${JSON.stringify(name)}.`,
      next: "`biplane get task` lists them; `biplane deploy FILE` deploys a module's tasks.",
    });
  }

  getRun(name: string): RemoteRun {
    const { profile, domain } = this.connection;
    const project = requireProject(this.connection);
    return new RemoteRun(this.connection, { org: profile.org, project, domain, name });
  }

  /** Newest first. */
  async list(options: { limit?: number } = {}): Promise<readonly RunSummary[]> {
    const { profile, domain, runs } = this.connection;
    const listed = await runs.listRuns({
      request: {
        limit: options.limit ?? 100,
        sortByFields: [{ key: "created_at", direction: flyte.common.Sort_Direction.DESCENDING }],
      },
      scopeBy: {
        case: "projectId",
        value: { organization: profile.org, name: requireProject(this.connection), domain },
      },
    });
    return listed.runs.flatMap((run) => (run.action === undefined ? [] : [summaryOf(run.action)]));
  }
}

export class RemoteRun {
  readonly id: {
    readonly org: string;
    readonly project: string;
    readonly domain: string;
    readonly name: string;
  };
  readonly #connection: Connection;

  constructor(connection: Connection, id: RemoteRun["id"]) {
    this.#connection = connection;
    const { org, project, domain, name } = id;
    this.id = { org, project, domain, name };
  }

  get name(): string {
    return this.id.name;
  }

  /** A page about the run, for people. */
  get url(): string {
    const { project, domain, name } = this.id;
    return `${this.#connection.profile.router}/v2/domain/${domain}/project/${project}/runs/${name}`;
  }

  async details(): Promise<flyte.workflow.ActionDetails> {
    const { details } = await this.#connection.runs.getActionDetails({ actionId: this.#action() });
    if (details === undefined) throw new BiplaneError("not_found", `There is no run ${this.name}.`);
    return details;
  }

  /** Resolves when the run has ended, however it did. */
  async wait(
    signal?: AbortSignal,
  ): Promise<{ phase: string; succeeded: boolean; error: string | undefined }> {
    const details = await this.#lastDetails(signal);
    const phase = details.status?.phase ?? 0;
    return { phase: phaseName(phase), succeeded: isSuccess(phase), error: errorTextOf(details) };
  }

  #lastDetails(signal?: AbortSignal): Promise<flyte.workflow.ActionDetails> {
    const given = signal === undefined ? {} : { signal };
    const open = () => this.#connection.runs.watchActionDetails({ actionId: this.#action() }, given);
    return watchUntil(
      open,
      ({ details }) => (isTerminal(details?.status?.phase ?? 0) ? details : undefined),
      signal,
    );
  }

  /** The root task's output, once the run has succeeded. */
  async outputs(): Promise<unknown> {
    const [{ outputs }, details] = await Promise.all([
      this.#connection.data.getActionData({ actionId: this.#action() }),
      this.details(),
    ]);
    if (!isSuccess(details.status?.phase ?? 0)) {
      throw new BiplaneError("failed_precondition", {
        what: `The run ${this.name} has no outputs: it is ${phaseName(details.status?.phase ?? 0)}.`,
        ...(errorTextOf(details) === undefined ? {} : { why: errorTextOf(details) as string }),
      });
    }
    const type = details.spec.case === "task" ? details.spec.value.taskTemplate?.interface : undefined;
    const variable = type?.outputs?.variables[0];
    const literal = outputs?.literals.find((one) => one.name === variable?.key)?.value;
    if (variable === undefined || literal === undefined) return undefined;
    return decodeValue(typeOfLiteralType(variable.value?.type), literal, "output");
  }

  /**
   * Lines as they come: of all attempts, one after the other, until the action ends; from attempt `from` on, or of
   * `attempt` alone.
   */
  logs(
    options: { action?: string; attempt?: number; from?: number; signal?: AbortSignal } = {},
  ): AsyncGenerator<LogLine, void> {
    const { action, attempt, from = 1, signal } = options;
    const given = signal === undefined ? {} : { signal };
    return attempt === undefined
      ? linesOfAction(this.#connection, this.#action(action), from, given)
      : linesOfAttempt(this.#connection, this.#action(action), attempt, given);
  }

  async abort(reason = ""): Promise<void> {
    await this.#connection.runs.abortRun({ runId: this.id, reason });
  }

  #action(name: string = rootAction): { run: RemoteRun["id"]; name: string } {
    return { run: this.id, name };
  }
}

export function inputFieldsOf(spec: flyte.task.TaskSpec): readonly ObjectField[] {
  const variables = spec.taskTemplate?.interface?.inputs?.variables ?? [];
  const defaults = new Map(spec.defaultInputs.map((one) => [one.name, one.parameter?.behavior]));
  return variables.map(({ key, value }) => {
    const type = typeOfLiteralType(value?.type);
    const behavior = defaults.get(key);
    const defaultValue =
      behavior?.case === "default" ? decodeValue(type, behavior.value, `default of ${key}`) : undefined;
    return { name: key, type, description: value?.description, defaultValue };
  });
}

export function withDefaults(fields: readonly ObjectField[], input: object): Record<string, unknown> {
  const given = input as Readonly<Record<string, unknown>>;
  return Object.fromEntries(fields.map((field) => [field.name, given[field.name] ?? field.defaultValue]));
}

export function errorTextOf(details: flyte.workflow.ActionDetails): string | undefined {
  if (details.result.case === "errorInfo") return details.result.value.message;
  return details.result.case === "abortInfo" ? `aborted: ${details.result.value.reason}` : undefined;
}

function summaryOf(action: flyte.workflow.Action): RunSummary {
  const { metadata, status } = action;
  return {
    name: action.id?.run?.name ?? "",
    task: metadata?.spec.case === "task" ? (metadata.spec.value.id?.name ?? "") : "",
    phase: phaseName(status?.phase ?? 0),
    startedAt: status?.startTime === undefined ? undefined : timestampDate(status.startTime),
    endedAt: status?.endTime === undefined ? undefined : timestampDate(status.endTime),
  };
}
