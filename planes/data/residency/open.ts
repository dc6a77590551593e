/** Puts residency together at a plane's start: the list of destinations before anything is dialled, then the regions. */
import { eventOf } from "@biplane/kit/audit-log";
import type { Egress } from "@biplane/kit/egress";
import type { ResidencyParts } from "../api/parts.ts";
import { federationPath, readFederation } from "../identity/federation-config.ts";
import { readEnrollment } from "../link/enrollment.ts";
import type { ControlPlane } from "../link/types.ts";
import type { OpenParts, Stores } from "../stores.ts";
import { destinationsOf, homeDestinations, resolversFor } from "./destinations.ts";

/** Everything that the settings name; what is not there is not reached. */
export async function allowDestinations({ options, paths, config }: OpenParts): Promise<void> {
  const enrollment = await readEnrollment(paths.link);
  const federation = await readFederation(federationPath(paths.identity));
  const destinations = destinationsOf({
    linkAddress: enrollment?.linkAddress,
    edgeAddress: options.listen ? undefined : (options.edge ?? enrollment?.edgeAddress),
    databaseUrl: options.databaseUrl,
    keys: config.keys,
    identityIssuer: federation?.issuer,
    environment: process.env,
  });
  for (const destination of destinations) options.egress.allow(destination);
}

/** The home cluster may move: the list of clusters that its authority signed says where it is. */
export function followHome({ options, config }: OpenParts, { identity }: Pick<Stores, "identity">): void {
  const { home } = config;
  if (home === undefined) return;
  const { clusters } = identity;
  options.egress.follow(() =>
    homeDestinations([home.router, clusters.home?.router ?? home.router, clusters.authority]),
  );
}

/** From now on a refused connection is on record. */
export function recordRefusedEgress({ options }: OpenParts, { audit }: Pick<Stores, "audit">): void {
  const { egress, log } = options;
  egress.onRefused(({ host, port }) => {
    const record = eventOf("EGRESS_REFUSED", {
      decision: "refused",
      address: `${host}:${port}`,
      reason: "egress_refused",
    });
    audit.record(record).catch((error: unknown) => {
      log.error({ event: "audit_failed", error }, "a refused connection could not be recorded");
    });
  });
}

export function residencyParts(
  { config }: Pick<OpenParts, "config">,
  { regions, projectHosts }: Pick<Stores, "regions" | "projectHosts">,
  controlPlane: ControlPlane,
  egress: Egress,
): ResidencyParts {
  return {
    regions,
    metadataRegions: config.metadataRegions,
    controlPlaneRegion: () => controlPlane.region,
    destinations: () => {
      const own = egress.list();
      const ofTasks = projectHosts.all().flatMap(({ hosts }) => hosts);
      return [...own, ...resolversFor([...own, ...ofTasks].map(({ host }) => host))];
    },
    projectHosts,
  };
}
