/** The control plane's own records, asked for through the router and shown as they are: names, phases, times. */
import { type Connection, phaseName, requireProject } from "@biplane/sdk/remote";
import { printRecord, printRecords } from "../output/print.ts";
import type { Column } from "../output/table.ts";
import { between, time } from "../output/text.ts";
import type { GetOptions } from "./get.ts";
import { requirePlace, taskNotFound } from "./require-place.ts";

type RunId = { org: string; project: string; domain: string; name: string };

export async function runsKnown(
  connection: Connection,
  name: string | undefined,
  options: GetOptions,
): Promise<void> {
  const project = requireProject(connection);
  const { domain, profile } = connection;
  if (name !== undefined) {
    const run = { org: profile.org, project, domain, name };
    const { run: known, phaseCounts } = await connection.records.getRun({ run });
    const actions = phaseCounts.map((one) => `${one.count} ${phaseName(one.phase)}`).join(", ");
    printRecord({ ...runRecord(known), actions }, options.output);
    return;
  }
  const { runs } = await connection.records.listRuns({ project, domain, page: { limit: options.limit } });
  if (runs.length === 0) await requirePlace(connection);
  printRecords(
    runs.map(runRecord),
    [
      { title: "RUN", value: (one) => one.run },
      { title: "TASK", value: (one) => one.task },
      { title: "PHASE", value: (one) => one.phase },
      { title: "CLUSTER", value: (one) => one.cluster },
      { title: "STARTED", value: (one) => one.started },
      { title: "TOOK", value: (one) => one.took, align: "right" },
    ],
    options.output,
    "The control plane knows no runs here.",
  );
}

type RunProjection = Awaited<ReturnType<Connection["records"]["getRun"]>>["run"];

function runRecord(run: RunProjection) {
  return {
    run: run?.run?.name ?? "",
    task: run?.task?.name ?? "",
    version: run?.task?.version ?? "",
    phase: phaseName(run?.phase ?? 0),
    cluster: run?.cluster ?? "",
    createdBy: run?.createdBy ?? "",
    document: Buffer.from(run?.documentDigest ?? []).toString("hex"),
    created: time(run?.createdAt),
    started: time(run?.startedAt),
    ended: time(run?.endedAt),
    took: between(run?.startedAt, run?.endedAt),
    failure: run?.failureCode ?? "",
  };
}

export async function actionsKnown(connection: Connection, run: RunId, options: GetOptions): Promise<void> {
  const { actions } = await connection.records.listActions({ run, page: { limit: options.limit } });
  const records = actions.map((action) => ({
    action: action.name,
    parent: action.parent,
    task: action.taskName,
    phase: phaseName(action.phase),
    attempt: action.attempt,
    started: time(action.startedAt),
    ended: time(action.endedAt),
    took: between(action.startedAt, action.endedAt),
    failure: action.failureCode,
  }));
  printRecords(
    records,
    [
      { title: "ACTION", value: (one) => one.action },
      { title: "TASK", value: (one) => one.task },
      { title: "PHASE", value: (one) => one.phase },
      { title: "ATTEMPT", value: (one) => one.attempt, align: "right" },
      { title: "STARTED", value: (one) => one.started },
      { title: "TOOK", value: (one) => one.took, align: "right" },
    ],
    options.output,
  );
}

export async function tasksKnown(
  connection: Connection,
  name: string | undefined,
  options: GetOptions,
): Promise<void> {
  const project = requireProject(connection);
  const { tasks } = await connection.records.listTasks({
    project,
    domain: connection.domain,
    page: { limit: options.limit },
  });
  if (tasks.length === 0) await requirePlace(connection);
  const wanted = tasks.filter(({ task }) => name === undefined || task?.name === name);
  if (wanted.length === 0 && name !== undefined) throw taskNotFound(name);
  const records = wanted.map((one) => ({
    task: one.task?.name ?? "",
    version: one.task?.version ?? "",
    deployed: time(one.deployedAt),
    specification: Buffer.from(one.specDigest).toString("hex"),
  }));
  printRecords(
    records,
    [
      { title: "TASK", value: (one) => one.task },
      { title: "VERSION", value: (one) => one.version },
      { title: "DEPLOYED", value: (one) => one.deployed },
      { title: "SPECIFICATION (SHA-256)", value: (one) => one.specification },
    ],
    options.output,
    "The control plane knows no deployed tasks here.",
  );
}

export async function projectsKnown(connection: Connection, options: GetOptions): Promise<void> {
  const { projects } = await connection.records.listProjects({ page: { limit: options.limit } });
  const records = projects.map((one) => ({
    project: one.id,
    name: one.displayName,
    domains: one.domains.join(", "),
    state: one.archived ? "archived" : "active",
    created: time(one.createdAt),
  }));
  printRecords(
    records,
    [
      { title: "PROJECT", value: (one) => one.project },
      { title: "NAME", value: (one) => one.name },
      { title: "DOMAINS", value: (one) => one.domains },
      { title: "STATE", value: (one) => one.state },
      { title: "CREATED", value: (one) => one.created },
    ],
    options.output,
  );
}

export async function clustersKnown(connection: Connection, options: GetOptions): Promise<void> {
  const records = (await clusterRecords(connection)).clusters;
  printRecords(records, clusterColumns, options.output);
}

export async function clusterRecords(connection: Connection) {
  const { clusters, controlPlaneRegion, rootFingerprint } = await connection.records.listClusters({});
  const root = hex(rootFingerprint);
  return { controlPlaneRegion, clusters: clusters.map((one) => ({ ...clusterRecord(one), root })) };
}

type Cluster = Awaited<ReturnType<Connection["records"]["listClusters"]>>["clusters"][number];
export type ClusterRecord = ReturnType<typeof clusterRecord> & { readonly root: string };

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

function clusterRecord(one: Cluster) {
  return {
    cluster: one.name,
    region: one.region,
    router: one.routerAddress,
    connected: one.connected ? "yes" : "no",
    lastSeen: time(one.lastSeenAt),
    asOf: time(one.asOf),
    software: one.softwareVersion,
    intermediate: hex(one.intermediateFingerprint),
    linkCertificate: hex(one.certificateFingerprint),
  };
}

export const clusterColumns: readonly Column<ClusterRecord>[] = [
  { title: "CLUSTER", value: (one) => one.cluster },
  { title: "REGION", value: (one) => one.region },
  { title: "ROUTER", value: (one) => one.router },
  { title: "CONNECTED", value: (one) => one.connected },
  { title: "INDEX AS OF", value: (one) => one.asOf },
  { title: "INTERMEDIATE (SHA-256)", value: (one) => one.intermediate },
  { title: "ROOT (SHA-256)", value: (one) => one.root },
];
