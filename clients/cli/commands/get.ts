/** `biplane get`: what there is. `--from control-plane` shows what the provider knows of it, and nothing else. */

import { BiplaneError } from "@biplane/base";
import { flyte } from "@biplane/data-wire";
import { type Connection, phaseName, phaseNumber, RemoteClient, requireProject } from "@biplane/sdk/remote";
import { Command, Option } from "commander";
import { printRecord, printRecords } from "../output/print.ts";
import type { Column } from "../output/table.ts";
import { age, between, time } from "../output/text.ts";
import { getApiKeyCommand } from "./api-keys.ts";
import { type CommonOptions, connectWith, parseCount, withCommonOptions } from "./common.ts";
import { actionsKnown, clustersKnown, projectsKnown, runsKnown, tasksKnown } from "./from-control-plane.ts";
import { requirePlace, taskNotFound } from "./require-place.ts";
import { showClusters } from "./residency.ts";
import { getAssignmentCommand, getPolicyCommand, getRoleCommand } from "./roles.ts";
import { getSessionCommand, getUserCommand } from "./users.ts";

export interface GetOptions extends CommonOptions {
  readonly from: "data-plane" | "control-plane";
  readonly limit: number;
  readonly phase?: string;
}

const { DESCENDING, ASCENDING } = flyte.common.Sort_Direction;

export function getCommand(): Command {
  const command = new Command("get").description(
    "list or show runs, actions, tasks, projects, clusters, users, keys, roles and assignments",
  );
  const runs = sub("run", "runs of the project, newest first; or one run", "[name]", getRun);
  const actions = sub("action", "actions of a run; or one action", "<run> [action]", getAction);
  for (const one of [runs, actions]) command.addCommand(one.addOption(phaseOption()));
  command.addCommand(sub("task", "deployed tasks", "[name]", getTask));
  command.addCommand(sub("project", "projects of the organization", "", getProject));
  command.addCommand(sub("cluster", "clusters of the organization", "", getCluster));
  const people = [getUserCommand(), getApiKeyCommand(), getSessionCommand()];
  const rules = [getRoleCommand(), getAssignmentCommand(), getPolicyCommand()];
  for (const other of [...people, ...rules]) command.addCommand(other);
  for (const one of command.commands) one.alias(pluralOf(one.name()));
  return command;
}

/** People write both, as with other tools of this kind. */
function pluralOf(name: string): string {
  return name.endsWith("y") ? `${name.slice(0, -1)}ies` : `${name}s`;
}

function phaseOption(): Option {
  return new Option("--phase <phase>", "only those that are in it")
    .choices(["queued", "waiting", "running", "succeeded", "failed", "aborted", "timed-out"])
    .conflicts("from");
}

function phaseFilters({ phase }: GetOptions) {
  if (phase === undefined) return [];
  const values = [String(phaseNumber(phase))];
  return [{ function: flyte.common.Filter_Function.EQUAL, field: "phase", values }];
}

function which({ phase }: GetOptions): string {
  return phase === undefined ? "" : ` that are ${phase}`;
}

/** A list that was cut must not look like all there is. */
function noteMore(token: string, shown: number): void {
  if (token !== "") process.stderr.write(`\nThere are more than these ${shown}: --limit shows more.\n`);
}

type Getter = (names: readonly (string | undefined)[], options: GetOptions) => Promise<void>;

function sub(name: string, description: string, names: string, get: Getter): Command {
  const command = withCommonOptions(new Command(name).description(description))
    .addOption(
      new Option("--from <plane>", "who is asked")
        .choices(["data-plane", "control-plane"])
        .default("data-plane"),
    )
    .addOption(new Option("--limit <count>", "at most so many").argParser(parseCount).default(100));
  for (const argument of names.split(" ").filter((word) => word !== "")) command.argument(argument);
  return command.action(() => get(command.args, command.opts<GetOptions>()));
}

async function getRun([name]: readonly (string | undefined)[], options: GetOptions): Promise<void> {
  const connection = await connectWith(options);
  if (options.from === "control-plane") return runsKnown(connection, name, options);
  if (name !== undefined)
    return showAction(new RemoteClient(connection).getRun(name).id, "a0", connection, options);
  const runs = await connection.runs.listRuns({
    request: {
      limit: options.limit,
      filters: phaseFilters(options),
      sortByFields: [{ key: "created_at", direction: DESCENDING }],
    },
    scopeBy: { case: "projectId", value: projectId(connection) },
  });
  if (runs.runs.length === 0) await requirePlace(connection);
  const actions = runs.runs.flatMap((run) => (run.action === undefined ? [] : [run.action]));
  // The list knows of runs what both planes know: no attempts of their root actions.
  const records = actions.map((action) => {
    const { attempts: _, ...record } = actionRecord(action);
    return { run: action.id?.run?.name ?? "", ...record };
  });
  printRecords(
    records,
    [{ title: "RUN", value: (one) => one.run }, ...columns],
    options.output,
    `No runs${which(options)} in project ${requireProject(connection)}, domain ${connection.domain}. Projects: biplane get project`,
  );
  noteMore(runs.token, records.length);
}

async function getAction([run, action]: readonly (string | undefined)[], options: GetOptions): Promise<void> {
  const connection = await connectWith(options);
  const id = new RemoteClient(connection).getRun(run ?? "").id;
  if (options.from === "control-plane") return actionsKnown(connection, id, options);
  if (action !== undefined) return showAction(id, action, connection, options);
  const records: ReturnType<typeof actionRecord>[] = [];
  let token = "";
  do {
    const page = await connection.runs.listActions({
      request: {
        limit: Math.min(options.limit, 1_000),
        token,
        filters: phaseFilters(options),
        sortByFields: [{ key: "created_at", direction: ASCENDING }],
      },
      runId: id,
    });
    records.push(...page.actions.map(actionRecord));
    ({ token } = page);
  } while (token !== "" && records.length < options.limit);
  const shown = records.slice(0, options.limit);
  printRecords(shown, actionColumns, options.output, `No actions${which(options)} in ${id.name}.`);
  noteMore(token, shown.length);
}

type ActionRow = ReturnType<typeof actionRecord>;

function actionRecord(action: flyte.workflow.Action) {
  const { id, metadata, status } = action;
  const { case: kind, value } = metadata?.spec ?? { case: undefined, value: undefined };
  return {
    action: id?.name ?? "",
    task: kind === "task" ? (value?.id?.name ?? "") : kind === undefined ? "" : (value?.name ?? ""),
    phase: phaseName(status?.phase ?? 0),
    attempts: status?.attempts ?? 0,
    group: metadata?.group ?? "",
    ...times(status),
    age: age(status?.startTime),
  };
}

/** What waits has a start time too on this wire: when it was submitted. */
function times(status: flyte.workflow.ActionStatus | undefined) {
  const hasBegun = (status?.phase ?? 0) > flyte.common.ActionPhase.WAITING_FOR_RESOURCES;
  const started = hasBegun ? status?.startTime : undefined;
  return {
    started: time(started),
    ended: time(status?.endTime),
    took: between(started, status?.endTime),
  };
}

const columns = [
  { title: "TASK", value: (one) => one.task },
  { title: "PHASE", value: (one) => one.phase },
  { title: "TOOK", value: (one) => one.took, align: "right" },
  { title: "AGE", value: (one) => one.age, align: "right" },
] as const satisfies readonly Column<Omit<ActionRow, "attempts">>[];
const [taskColumn, phaseColumn, ...timeColumns] = columns;
const actionColumns: readonly Column<ActionRow>[] = [
  { title: "ACTION", value: (one) => one.action },
  taskColumn,
  phaseColumn,
  { title: "ATTEMPTS", value: (one) => one.attempts, align: "right" },
  ...timeColumns,
];

async function showAction(
  run: { org: string; project: string; domain: string; name: string },
  action: string,
  connection: Connection,
  options: GetOptions,
): Promise<void> {
  const { details } = await connection.runs.getActionDetails({ actionId: { run, name: action } });
  if (details === undefined)
    throw new BiplaneError("not_found", `There is no action ${action} in ${run.name}.`);
  const { result } = details;
  const { metadata, status, attempts } = details;
  printRecord(
    {
      run: run.name,
      action: details.id?.name,
      task: metadata?.spec.case === "task" ? metadata.spec.value.id?.name : metadata?.spec.value?.name,
      parent: metadata?.parent,
      group: metadata?.group,
      phase: phaseName(status?.phase ?? 0),
      ...times(status),
      attempts: options.output === "table" ? attemptLines(attempts) : attempts.map(attemptRecord),
      error: result.case === "errorInfo" ? result.value.message : undefined,
      abort: result.case === "abortInfo" ? result.value.reason : undefined,
    },
    options.output,
  );
}

type Attempt = flyte.workflow.ActionAttempt;

function attemptRecord(one: Attempt) {
  return {
    attempt: one.attempt,
    phase: phaseName(one.phase),
    started: time(one.startTime),
    took: between(one.startTime, one.endTime),
    error: one.errorInfo?.message,
    report: one.outputs?.reportUri || undefined,
  };
}

function attemptLines(attempts: readonly Attempt[]): string {
  return attempts
    .map(attemptRecord)
    .map(({ attempt, phase, started, took, error, report }) =>
      [`${attempt}  ${phase}  ${started}  ${took}`, error, report].filter(Boolean).join("\n   "),
    )
    .join("\n");
}

async function getTask([name]: readonly (string | undefined)[], options: GetOptions): Promise<void> {
  const connection = await connectWith(options);
  if (options.from === "control-plane") return tasksKnown(connection, name, options);
  const named = { function: flyte.common.Filter_Function.EQUAL, field: "name", values: [name ?? ""] };
  const { tasks } = await connection.tasks.listTasks({
    request: {
      limit: options.limit,
      filters: name === undefined ? [] : [named],
      sortByFields: [{ key: "created_at", direction: DESCENDING }],
    },
    scopeBy: { case: "projectId", value: projectId(connection) },
  });
  if (tasks.length === 0) await requirePlace(connection);
  if (tasks.length === 0 && name !== undefined) throw taskNotFound(name);
  const records = tasks.map(({ taskId, metadata }) => ({
    task: taskId?.name ?? "",
    version: taskId?.version ?? "",
    environment: metadata?.environmentName ?? "",
    deployed: time(metadata?.deployedAt),
  }));
  printRecords(
    records,
    [
      { title: "TASK", value: (one) => one.task },
      { title: "VERSION", value: (one) => one.version },
      { title: "DEPLOYED", value: (one) => one.deployed },
    ],
    options.output,
    `No tasks are deployed in project ${requireProject(connection)}, domain ${connection.domain}. \`biplane deploy FILE\` deploys a module's tasks.`,
  );
}

async function getProject(_: readonly (string | undefined)[], options: GetOptions): Promise<void> {
  const connection = await connectWith(options);
  if (options.from === "control-plane") return projectsKnown(connection, options);
  const [{ projects }, { tasks }] = await Promise.all([
    connection.projects.listProjects({ limit: options.limit, org: connection.profile.org }),
    // Who may see single projects only may not see whom the cluster connects to.
    connection.residency.listDestinations({}).catch(() => ({ tasks: undefined })),
  ]);
  const records = (projects?.projects ?? []).map((project) => ({
    project: project.id,
    name: project.name,
    domains: project.domains.map((domain) => domain.id).join(", "),
    description: project.description,
    state: project.state === flyte.project.ProjectState.ACTIVE ? "active" : "archived",
    ...(tasks === undefined
      ? {}
      : { hosts: [...(tasks.find((one) => one.project === project.id)?.hosts ?? [])] }),
  }));
  printRecords(
    records,
    [
      { title: "PROJECT", value: (one) => one.project },
      { title: "NAME", value: (one) => one.name },
      { title: "DOMAINS", value: (one) => one.domains },
      { title: "STATE", value: (one) => one.state },
      { title: "HOSTS OF TASKS", value: (one) => one.hosts?.join(", ") ?? "" },
    ],
    options.output,
    "No projects yet. `biplane create project NAME` makes one.",
  );
}

/** The authority's signed list, with what the index knows of each cluster, and this cluster's own word on its backends. */
async function getCluster(_: readonly (string | undefined)[], options: GetOptions): Promise<void> {
  const connection = await connectWith(options);
  if (options.from === "control-plane") return clustersKnown(connection, options);
  return showClusters(connection, options);
}

function projectId(connection: Connection) {
  return {
    organization: connection.profile.org,
    name: requireProject(connection),
    domain: connection.domain,
  };
}
