/**
 * Which cluster has a run that this one has not (claim FLOW-6). The control plane says the cluster's name, for it keeps
 * the index; where that cluster is, the signed list says alone, so that nobody is sent to a router of another's choice.
 */
import { BiplaneError, type ClusterId, isBiplaneError, type OrgId } from "@biplane/base";
import type { ListedCluster, Resource } from "@biplane/identity";
import { fromConnectError } from "@biplane/kit/connect-errors";
import type { ActingPrincipal } from "../identity/types.ts";
import type { ControlPlane } from "../link/types.ts";
import type { ClusterDirectory } from "./cluster-directory.ts";

export interface WhereaboutsParts {
  readonly org: OrgId;
  readonly cluster: ClusterId;
  readonly clusters: Pick<ClusterDirectory, "find">;
  readonly controlPlane: ControlPlane;
}

export type FindElsewhere = (
  resource: Resource,
  principal: ActingPrincipal,
) => Promise<ListedCluster | undefined>;

/** Resolves to undefined for what is no run, nobody's run, and while the control plane is away. */
export function createFindElsewhere(parts: WhereaboutsParts): FindElsewhere {
  return async ({ project, domain, run: name }, principal) => {
    if (project === undefined || domain === undefined || name === undefined) return undefined;
    const run = { org: parts.org, project, domain, name };
    try {
      const { run: known } = await parts.controlPlane.index(principal).getRun({ run });
      const cluster = known?.cluster ?? "";
      return cluster === parts.cluster ? undefined : parts.clusters.find(cluster);
    } catch (error) {
      if (isExpected(error)) return undefined;
      throw error;
    }
  };
}

/** `failed_precondition`: nothing is repeated here, and the right place is named. */
export function isElsewhere({ name, router }: ListedCluster): BiplaneError {
  return new BiplaneError(
    "failed_precondition",
    {
      what: `This run is in cluster ${name}.`,
      why: "A run stays in the cluster that accepted it.",
      next: `Ask the router of that cluster, ${router} (biplane … --cluster ${name}).`,
    },
    { reason: "other_cluster" },
  );
}

const expectedCodes = new Set(["not_found", "unavailable", "permission_denied", "deadline_exceeded"]);

function isExpected(error: unknown): boolean {
  return expectedCodes.has((isBiplaneError(error) ? error : fromConnectError(error)).code);
}
