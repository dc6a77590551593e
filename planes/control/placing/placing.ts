/** Which cluster a new run should be submitted to. Placement precedes content: a submitted run is never moved. */
import { BiplaneError, isRegionAllowed } from "@biplane/base";
import type { Cluster } from "@biplane/control-wire";
import { listClusters } from "../clusters/clusters.ts";
import { getProject } from "../projects/projects.ts";
import type { Store } from "../store/open.ts";

export interface Placement {
  readonly cluster: string;
  readonly routerAddress: string;
}

/** The asking cluster where it is connected; else the first connected one by name; else the asking one. */
export async function placeRun(
  store: Store,
  org: string,
  project: string,
  asking: string,
  isConnected: (cluster: string) => boolean,
): Promise<Placement> {
  const { archived, regions, organizationRegions } = await getProject(store, org, project);
  if (archived) {
    throw new BiplaneError("failed_precondition", {
      what: `Project ${project} is archived.`,
      why: "An archived project takes no new runs.",
      next: "Use another project, or take this one out of the archive.",
    });
  }
  const all = await listClusters(store, org, isConnected);
  const restrictions = [regions, organizationRegions];
  const clusters = all.filter(({ region }) => isRegionAllowed(region, ...restrictions));
  if (clusters.length === 0 && all.length > 0) throw nowhereAllowed(project, restrictions, all);
  const chosen = choose(clusters, asking);
  if (chosen !== undefined) return { cluster: chosen.name, routerAddress: chosen.routerAddress };
  throw new BiplaneError("unavailable", {
    what: "The organization has no cluster yet.",
    next: "Enroll a data plane.",
  });
}

function nowhereAllowed(
  project: string,
  [own = [], whole = []]: readonly (readonly string[])[],
  clusters: readonly Cluster[],
): BiplaneError {
  const there = clusters.map(({ name, region }) => `${name} in ${region}`).join(", ");
  const restricted = [
    ...(own.length === 0 ? [] : [`The project is restricted to ${own.join(", ")}`]),
    ...(whole.length === 0 ? [] : [`the organization is restricted to ${whole.join(", ")}`]),
  ].join(", ");
  return new BiplaneError(
    "failed_precondition",
    {
      what: `No cluster is where runs of project ${project} may be.`,
      why: `${restricted.charAt(0).toUpperCase()}${restricted.slice(1)}; there is ${there}.`,
      next: "Enroll a cluster there, or lift the restriction: `biplane update project`, `biplane update organization`.",
    },
    { reason: "region_not_allowed" },
  );
}

function choose(clusters: readonly Cluster[], asking: string): Cluster | undefined {
  const own = clusters.find((one) => one.name === asking);
  return own?.connected === true ? own : (clusters.find((one) => one.connected) ?? own ?? clusters[0]);
}
