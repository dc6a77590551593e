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
}

function ownRecord({ backends, metadataRegions }: residency.GetRegionsResponse) {
  return {
    metadataRegions: [...metadataRegions],
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

interface RestrictionOptions extends CommonOptions {
  readonly region?: readonly string[];
  readonly anyRegion?: boolean;
}

export function updateProjectCommand(): Command {
  return withCommonOptions(
    new Command("project")
      .description("say in which regions a project's runs may be")
      .argument("<id>")
      .option("--region <pattern...>", "a region, or the beginning of its name and a star: eu-*")
      .option("--any-region", "lift the restriction"),
  ).action(restrictProject);
}

async function restrictProject(project: string, options: RestrictionOptions): Promise<void> {
  const regions = options.region ?? [];
  if ((regions.length === 0) !== (options.anyRegion === true)) {
    throw new BiplaneError("invalid_argument", "Give either --region or --any-region.");
  }
  await (await connectWith(options)).residency.restrictProject({ project, regions: [...regions] });
  printRecord({ project, regions: regions.join(", ") || "any" }, options.output);
}

export function egressCommand(): Command {
  return withCommonOptions(
    new Command("egress").description("list everything that this cluster's data plane may connect to"),
  ).action(listDestinations);
}

async function listDestinations(options: CommonOptions): Promise<void> {
  const connection = await connectWith(options);
  const { destinations } = await connection.residency.listDestinations({});
  printRecords(
    destinations.map(({ purpose, host, port }) => ({ purpose, host, port })),
    [
      { title: "PURPOSE", value: ({ purpose }) => purpose },
      { title: "HOST", value: ({ host }) => host },
      { title: "PORT", value: ({ port }) => String(port), align: "right" },
    ],
    options.output,
    "Nothing: this data plane connects to nobody.",
  );
}
