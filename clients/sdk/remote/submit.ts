/** From code and values to a run: placed first, then code and inputs uploaded, then the run created. */
import { BiplaneError } from "@biplane/base";
import { flyte } from "@biplane/data-wire";
import { create, fromBinary } from "@bufbuild/protobuf";
import { createClient, type Transport } from "@connectrpc/connect";
import type { TaskDescription } from "../tasks/describe.ts";
import { bundleModule, type CodeBundle } from "./bundle.ts";
import { type Connection, requireProject } from "./connection.ts";
import { tasksOfBundle } from "./load-bundle.ts";
import { Uploader } from "./upload.ts";

/** The project-domain as the router knows it, on the cluster where the run belongs. */
export interface Place {
  readonly org: string;
  readonly project: string;
  readonly domain: string;
  readonly router: Transport;
  /** To that cluster. */
  readonly connection: Connection;
}

/** Asks where a new run belongs: its content is sent to that cluster and no other. */
export async function placeRun(connection: Connection): Promise<Place> {
  const { profile, domain } = connection;
  const project = requireProject(connection);
  const placed = await connection.records.place({ project, domain });
  // The control plane names a cluster; where that is, the signed list says.
  const there = placed.cluster === "" ? connection : await connection.at(placed.cluster);
  return { org: profile.org, project, domain, router: there.router, connection: there };
}

export interface PreparedTask {
  readonly name: string;
  readonly spec: flyte.task.TaskSpec;
}

export interface PreparedModule {
  readonly bundle: CodeBundle;
  readonly tasks: readonly (PreparedTask & { readonly exportName: string })[];
}

/** Reads a module's tasks without sending anything anywhere. */
export async function inspectModule(path: string, external: readonly string[] = []): Promise<PreparedModule> {
  const bundle = await bundleModule(path, external);
  return { bundle, tasks: await describe(bundle, { org: "", project: "", domain: "", bundleUri: "" }) };
}

/** The module's tasks with their code uploaded. */
export async function uploadModule(connection: Connection, place: Place, bundle: CodeBundle) {
  const uploader = new Uploader(place.router, connection.http, place);
  const bundleUri = await uploader.bytes(`code-${bundle.version}.tar.gz`, bundle.archive);
  return describe(bundle, { ...place, bundleUri });
}

async function describe(
  bundle: CodeBundle,
  place: { org: string; project: string; domain: string; bundleUri: string },
) {
  const { org, project, domain, bundleUri } = place;
  const described = await tasksOfBundle(bundle, { org, project, domain, bundleUri, version: bundle.version });
  return described.map((task) => ({
    name: task.name,
    exportName: task.exportName,
    spec: fromBinary(flyte.task.TaskSpecSchema, task.spec),
  }));
}

export function exportsNoTask(place: string): BiplaneError {
  return new BiplaneError("invalid_argument", {
    what: `${place} exports no task.`,
    next: "Export what task(…) returns.",
  });
}

/** By full name, by export, or the only one there is. */
export function chooseTask<T extends Pick<TaskDescription, "name" | "exportName">>(
  tasks: readonly T[],
  wanted: string | undefined,
  place: string,
): T {
  const [only] = tasks;
  if (wanted === undefined && only !== undefined && tasks.length === 1) return only;
  const found =
    tasks.find((task) => task.name === wanted) ?? tasks.find((task) => task.exportName === wanted);
  if (found !== undefined) return found;
  const names = tasks.map((task) => task.exportName).join(", ");
  if (names === "") throw exportsNoTask(place);
  const why = `It exports: ${names}.`;
  const next = "Name one of them.";
  if (wanted === undefined)
    throw new BiplaneError("invalid_argument", { what: `${place} has several tasks.`, why, next });
  throw new BiplaneError("not_found", { what: `${place} has no task ${JSON.stringify(wanted)}.`, why, next });
}

export interface RunOptions {
  /** Chosen by the router where absent. */
  readonly name?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly labels?: Readonly<Record<string, string>>;
}

export async function createRun(
  place: Place,
  spec: flyte.task.TaskSpec,
  inputs: flyte.task.Inputs,
  options: RunOptions = {},
): Promise<flyte.common.RunIdentifier> {
  const { org, project, domain } = place;
  const projectId = { organization: org, name: project, domain };
  const data = createClient(flyte.dataproxy.DataProxyService, place.router);
  const runs = createClient(flyte.workflow.RunService, place.router);
  const id =
    options.name === undefined
      ? { case: "projectId" as const, value: projectId }
      : { case: "runId" as const, value: { org, project, domain, name: options.name } };
  const task = { case: "taskSpec" as const, value: spec };
  const { offloadedInputData } = await data.uploadInputs({
    id: { case: "projectId", value: projectId },
    task,
    inputs,
  });
  if (offloadedInputData === undefined) throw new BiplaneError("internal", "The router stored no inputs.");
  const { run } = await runs.createRun({
    id,
    task,
    inputWrapper: { case: "offloadedInputData", value: offloadedInputData },
    runSpec: runSpecOf(options),
    source: flyte.workflow.RunSource.CLI,
  });
  const created = run?.action?.id?.run;
  if (created === undefined)
    throw new BiplaneError("internal", "The router answered without the run's name.");
  return created;
}

function runSpecOf(options: RunOptions): flyte.task.RunSpec {
  const values = Object.entries(options.env ?? {}).map(([key, value]) => ({ key, value }));
  return create(flyte.task.RunSpecSchema, {
    envs: { values },
    labels: { values: { ...options.labels } },
  });
}
