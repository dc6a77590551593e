/** Which cluster a new run should be submitted to. Placement precedes content: a submitted run is never moved. */
import { BiplaneError } from "@biplane/base";
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
  const { archived } = await getProject(store, org, project);
  if (archived) {
    throw new BiplaneError("failed_precondition", {
      what: `Project ${project} is archived.`,
      why: "An archived project takes no new runs.",
      next: "Use another project, or take this one out of the archive.",
    });
  }
  const clusters = await listClusters(store, org, isConnected);
  const chosen = choose(clusters, asking);
  if (chosen !== undefined) return { cluster: chosen.name, routerAddress: chosen.routerAddress };
  throw new BiplaneError("unavailable", {
    what: "The organization has no cluster yet.",
    next: "Enroll a data plane.",
  });
}

function choose(clusters: readonly Cluster[], asking: string): Cluster | undefined {
  const own = clusters.find((one) => one.name === asking);
  return own?.connected === true ? own : (clusters.find((one) => one.connected) ?? own ?? clusters[0]);
}
