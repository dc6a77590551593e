/** What the services behind the router work with: the data plane's modules, as interfaces. */
import type { ClusterId, OrgId } from "@biplane/base";
import type { border } from "@biplane/data-wire";
import type { Clock } from "@biplane/kit/clock";
import type { Destination } from "@biplane/kit/egress";
import type { AuditParts } from "../audit/sources.ts";
import type { ClusterDirectory } from "../clusters/cluster-directory.ts";
import type { Members } from "../clusters/members.ts";
import type { FindElsewhere } from "../clusters/whereabouts.ts";
import type { Documents } from "../documents/documents.ts";
import type { ProjectHosts } from "../egress/project-hosts.ts";
import type { ProjectKeys } from "../keys/project-keys.ts";
import type { ControlPlane } from "../link/types.ts";
import type { LogStore } from "../logs/types.ts";
import type { ObjectGrants, ObjectStore } from "../objects/types.ts";
import type { CurrentPolicy } from "../policy/policy.ts";
import type { Regions } from "../residency/regions.ts";
import type { Runs } from "../runs/types.ts";
import type { MembershipRecords } from "./membership.ts";
import type { ProjectCache } from "./project-cache.ts";
import type { SubjectNames } from "./subject-names.ts";
import type { IdentityAdministration } from "./users.ts";

export interface BorderLedger {
  read(
    query: { fromSequence: bigint; follow: boolean; run: string; last: number },
    signal: AbortSignal,
  ): AsyncIterable<border.LedgerEntry>;
}

export interface ResidencyParts {
  readonly regions: Regions;
  readonly metadataRegions: readonly string[];
  controlPlaneRegion(): string;
  destinations(): readonly Destination[];
  readonly projectHosts: Pick<ProjectHosts, "all" | "change">;
}

export interface ApiParts {
  readonly org: OrgId;
  readonly cluster: ClusterId;
  /** `https://host:port` of the identity authority. */
  readonly authority: () => string;
  readonly runs: Runs;
  readonly objects: ObjectStore;
  readonly grants: ObjectGrants;
  readonly logs: LogStore;
  readonly keys: Pick<ProjectKeys, "providerKind" | "list" | "change" | "rotate" | "assign">;
  readonly controlPlane: ControlPlane;
  readonly ledger: BorderLedger;
  readonly residency: ResidencyParts;
  readonly audit: AuditParts;
  readonly policy: CurrentPolicy;
  readonly documents: Pick<Documents, "signed">;
  readonly projects: ProjectCache;
  readonly subjects: SubjectNames;
  readonly administration: IdentityAdministration;
  readonly findElsewhere: FindElsewhere;
  readonly clusters: ClusterDirectory;
  /** In the home cluster only. */
  readonly members: Members | undefined;
  readonly records: MembershipRecords;
  readonly clock: Clock;
}
