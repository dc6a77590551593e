/** `biplane get cluster` and `biplane egress`: where everything is, and whom the planes talk to (claims RES-1, RES-3, RES-4). */
import { BiplaneError } from "@biplane/base";
import { residency } from "@biplane/data-wire";
import type { Connection } from "@biplane/sdk/remote";
import { Command } from "commander";
import { printRecord, printRecords, printValue } from "../output/print.ts";
import { table } from "../output/table.ts";
import { alarmsOf, type ListedRecord, listedColumns, listedRecords } from "./clusters.ts";
import { type CommonOptions, connectWith, withCommonOptions } from "./common.ts";
import { clusterRecords } from "./from-control-plane.ts";

const sources: Readonly<Record<residency.RegionSource, string>> = {
  [residency.RegionSource.UNSPECIFIED]: "",
  [residency.RegionSource.BESIDE]: "this machine",
  [residency.RegionSource.ASKED]: "the backend",
  [residency.RegionSource.DECLARED]: "its operator",
};

/** The signed list with the index's word on every cluster, and this cluster's own on its backends. */
export async function showClusters(connection: Connection, options: CommonOptions): Promise<void> {
  const [listed, { clusters, controlPlaneRegion }, regions] = await Promise.all([
    listedRecords(connection),
    clusterRecords(connection),
    connection.residency.getRegions({}),
  ]);
  const records = listed.map((one) => ({
    ...clusters.find(({ cluster }) => cluster === one.cluster),
    ...one,
    controlPlaneRegion,
    ...(one.cluster === regions.cluster ? ownRecord(regions) : {}),
  }));
  for (const { cluster } of clusters) {
    if (listed.some((one) => one.cluster === cluster)) continue;
    process.stderr.write(`biplane: alarm: the control plane knows ${cluster}, which the signed list lacks\n`);
  }
  for (const alarm of await alarmsOf(connection)) process.stderr.write(`biplane: alarm: ${alarm}\n`);
  if (options.output !== "table") return printValue(records, options.output);
  printRecords<ListedRecord>(records, listedColumns, "table");
  process.stdout.write(`\nBackends of cluster ${regions.cluster}, declared to be in ${regions.region}:\n`);
  process.stdout.write(`${table(ownRecord(regions).backends, backendColumns, undefined)}\n`);
  process.stdout.write(`\nControl plane: ${controlPlaneRegion}${restriction(regions.metadataRegions)}\n`);
  for (const line of runRestrictions(regions)) process.stdout.write(`${line}\n`);
}

function runRestrictions({ organizationRegions, projects }: residency.GetRegionsResponse): string[] {
  const all =
    organizationRegions.length === 0 ? [] : [`Runs may be in ${organizationRegions.join(", ")} only`];
  const single = projects.map(
    ({ project, regions }) => `Runs of ${project} may be in ${regions.join(", ")} only`,
  );
  return [...all, ...single];
}

function ownRecord(regions: residency.GetRegionsResponse) {
  const { backends, metadataRegions, organizationRegions, projects } = regions;
  return {
    metadataRegions: [...metadataRegions],
    runRegions: [...organizationRegions],
    projectRegions: Object.fromEntries(projects.map((one) => [one.project, [...one.regions]])),
    backends: backends.map(({ backend, kind, region, source, agrees }) => ({
      backend,
      kind,
      region: region === "" ? "unknown" : region,
      saidBy: sources[source],
      agrees,
    })),
  };
}

const backendColumns = [
  { title: "BACKEND", value: (one: { backend: string }) => one.backend },
  { title: "KIND", value: (one: { kind: string }) => one.kind },
  { title: "REGION", value: (one: { region: string }) => one.region },
  { title: "SAYS", value: (one: { saidBy: string }) => one.saidBy },
  { title: "AGREES", value: (one: { agrees: boolean }) => (one.agrees ? "yes" : "NO") },
];

function restriction(regions: readonly string[]): string {
  return regions.length === 0 ? "" : ` (metadata may be in ${regions.join(", ")} only)`;
}

interface RegionOptions extends CommonOptions {
  readonly region?: readonly string[];
  readonly anyRegion?: boolean;
}

interface ProjectOptions extends RegionOptions {
  readonly allowHost?: readonly string[];
  readonly withdrawHost?: readonly string[];
}

const regionOption = [
  "--region <pattern...>",
  "a region, or the beginning of its name and a star: eu-*",
] as const;
const anyRegionOption = ["--any-region", "lift the restriction"] as const;

export function updateOrganizationCommand(): Command {
  return withCommonOptions(
    new Command("organization")
      .description(
        "say in which regions runs of all projects may be; a project's own restriction holds besides",
      )
      .option(...regionOption)
      .option(...anyRegionOption),
  ).action(restrictOrganization);
}

async function restrictOrganization(options: RegionOptions): Promise<void> {
  const regions = chosenRegions(options);
  const { residency: client, profile } = await connectWith(options);
  await client.restrictOrganization({ regions });
  printRecord({ organization: profile.org, regions: regions.join(", ") || "any" }, options.output);
}

function chosenRegions({ region = [], anyRegion }: RegionOptions): string[] {
  if ((region.length === 0) !== (anyRegion === true)) {
    throw new BiplaneError("invalid_argument", "Give either --region or --any-region.");
  }
  return [...region];
}

export function updateProjectCommand(): Command {
  return withCommonOptions(
    new Command("project")
      .description("say in which regions a project's runs may be, and what its tasks may connect to")
      .argument("<id>")
      .option(...regionOption)
      .option(...anyRegionOption)
      .option(
        "--allow-host <host...>",
        "let tasks connect to HOST[:PORT], port 443 by default; a private address, or a network of them, by its address",
      )
      .option("--withdraw-host <host...>", "let them no longer"),
  ).action(updateProject);
}

async function updateProject(project: string, options: ProjectOptions): Promise<void> {
  const { region, anyRegion, allowHost = [], withdrawHost = [] } = options;
  const restricts = region !== undefined || anyRegion === true;
  const changesHosts = allowHost.length + withdrawHost.length > 0;
  if (!restricts && !changesHosts) {
    throw new BiplaneError("invalid_argument", {
      what: "Nothing was to be changed.",
      next: "Give --region or --any-region, --allow-host or --withdraw-host.",
    });
  }
  const regions = restricts ? await restrictProject(project, options) : undefined;
  const hosts = changesHosts ? await changeHosts(project, options) : undefined;
  printRecord(
    {
      project,
      ...(regions === undefined ? {} : { regions: regions.join(", ") || "any" }),
      ...(hosts === undefined ? {} : { hosts }),
    },
    options.output,
  );
}

async function changeHosts(project: string, options: ProjectOptions): Promise<string[]> {
  const { residency: client } = await connectWith(options);
  const { allowHost = [], withdrawHost = [] } = options;
  const { hosts } = await client.changeProjectHosts({
    project,
    allow: [...allowHost],
    withdraw: [...withdrawHost],
  });
  return hosts;
}

async function restrictProject(project: string, options: ProjectOptions): Promise<readonly string[]> {
  const regions = chosenRegions(options);
  await (await connectWith(options)).residency.restrictProject({ project, regions });
  return regions;
}

export function egressCommand(): Command {
  return withCommonOptions(
    new Command("egress").description(
      "list everything that this cluster's data plane may connect to, and what its tasks may",
    ),
  ).action(listDestinations);
}

async function listDestinations(options: CommonOptions): Promise<void> {
  const connection = await connectWith(options);
  const { destinations, tasks } = await connection.residency.listDestinations({});
  const own = destinations.map(({ purpose, host, port }) => ({ purpose, host, port }));
  const theirs = tasks.flatMap(({ project, hosts }) =>
    hosts.map((text) => ({ purpose: `tasks of ${project}`, ...hostAndPort(text) })),
  );
  printRecords(
    [...own, ...theirs],
    [
      { title: "PURPOSE", value: ({ purpose }) => purpose },
      { title: "HOST", value: ({ host }) => host },
      { title: "PORT", value: ({ port }) => String(port), align: "right" },
    ],
    options.output,
    "Nothing: this data plane connects to nobody, and tasks neither.",
  );
}

/** Of a host as the data plane lists it for tasks: `[fd12::1]:443`. */
export function hostAndPort(text: string): { host: string; port: number } {
  const colon = text.lastIndexOf(":");
  return { host: text.slice(0, colon).replace(/^\[|\]$/g, ""), port: Number(text.slice(colon + 1)) };
}
