/** The public side of the plane: router, identity authority and object server, over what the plane keeps. */
import type { Server } from "node:tls";
import type { OrgId } from "@biplane/base";
import { eventOf } from "@biplane/kit/audit-log";
import { systemClock } from "@biplane/kit/clock";
import type { Egress } from "@biplane/kit/egress";
import type { Logger } from "@biplane/kit/logging";
import { createServices } from "./api/index.ts";
import type { MembershipRecords } from "./api/membership.ts";
import { ProjectCache } from "./api/project-cache.ts";
import { SubjectNames } from "./api/subject-names.ts";
import type { IdentityAdministration } from "./api/users.ts";
import type { AuditParts } from "./audit/sources.ts";
import { createFindElsewhere, type FindElsewhere } from "./clusters/whereabouts.ts";
import type { DataPlaneConfig } from "./config.ts";
import type { OwnCertificates, ServingCertificate } from "./identity/certificates.ts";
import { createCodeExchange } from "./identity/code-exchange.ts";
import type { Identity } from "./identity/index.ts";
import type { ControlPlane } from "./link/types.ts";
import { residencyParts } from "./residency/open.ts";
import { createCallAudit } from "./router/call-audit.ts";
import { createAuditFiles } from "./router/pages/audit-files.ts";
import { createPages } from "./router/pages/pages.ts";
import { PageSessions } from "./router/pages/sign-in.ts";
import { createRouter, type Router, type ServedService } from "./router/router.ts";
import type { Stores } from "./stores.ts";

export interface RoutingParts {
  readonly config: DataPlaneConfig;
  readonly stores: Stores;
  readonly controlPlane: ControlPlane;
  readonly serving: ServingCertificate;
  readonly certificates: Pick<OwnCertificates, "rootPem">;
  /** Whose word public addresses are. */
  readonly addressFrom: "edge" | "peer";
  readonly egress: Egress;
  readonly log: Logger;
}

/** By service; a cluster that joined another one has no authority. */
export type Servers = Readonly<Partial<Record<Service, Server>>>;

export type Service = keyof DataPlaneConfig["addresses"];

export interface Routing {
  readonly router: Router;
  /** They listen nowhere yet. */
  readonly servers: Servers;
}

export async function createRouting(parts: RoutingParts): Promise<Routing> {
  const { config, stores, serving, log } = parts;
  const { org, addresses } = config;
  const { identity } = stores;
  const { clusters } = identity;
  const authority = clusters.isHome ? serving.keepFresh(identity.createServer(serving.identity)) : undefined;
  const objects = serving.keepFresh(stores.objects.createServer({ identity: serving.identity }));
  const audit = createCallAudit(stores.audit, stores.refusals, parts.addressFrom, systemClock);
  const sessions = new PageSessions({
    router: addresses.router,
    authority: () => clusters.authority,
    exchange: createCodeExchange(
      authority,
      () => clusters.authority,
      () => parts.certificates.rootPem,
    ),
    clock: systemClock,
  });
  const { authenticator, policy } = identity;
  const deciding = { org, authenticator, policy, audit, log };
  const findElsewhere = createFindElsewhere({ ...config, clusters, controlPlane: parts.controlPlane });
  const router = createRouter({
    ...deciding,
    hosts: new Set([hostAndPort(addresses.router)]),
    serving,
    findElsewhere,
    services: await openServices(parts, findElsewhere),
    pages: createPages({
      ...deciding,
      sessions,
      runs: stores.runs.runs,
      auditFiles: createAuditFiles({
        ...deciding,
        parts: auditParts(org, stores),
        controlPlane: parts.controlPlane,
      }),
    }),
  });
  const servers = { router: serving.keepFresh(router.server), objects };
  return { router, servers: authority === undefined ? servers : { ...servers, authority } };
}

function auditParts(org: OrgId, { audit, witness }: Stores): AuditParts {
  return { org, own: audit, witness };
}

async function openServices(
  { config, stores, controlPlane, addressFrom, egress }: RoutingParts,
  findElsewhere: FindElsewhere,
): Promise<ServedService[]> {
  const { org, cluster, addresses } = config;
  const { identity, objects } = stores;
  const projects = new ProjectCache(org, stores.database, identity.sealing);
  await projects.load();
  return createServices({
    org,
    cluster,
    authority: () => identity.clusters.authority,
    runs: stores.runs.runs,
    objects: objects.store,
    grants: objects.grants(addresses.objects),
    logs: stores.logs,
    keys: stores.keys,
    controlPlane,
    ledger: stores.ledger,
    residency: residencyParts({ config }, stores, controlPlane, egress),
    audit: auditParts(org, stores),
    policy: identity.policy,
    documents: identity.documents,
    projects,
    subjects: new SubjectNames(identity.directory),
    administration: administrationOf(identity),
    findElsewhere,
    clusters: identity.clusters,
    members: identity.clusters.isHome ? identity.members : undefined,
    records: membershipRecords(stores, addressFrom),
    clock: systemClock,
  });
}

/** People, keys and sign-ins are the home cluster's; elsewhere whoever asks is told where that is. */
function administrationOf(identity: Identity): IdentityAdministration {
  if (identity.clusters.isHome) return identity;
  const elsewhere = (): never => {
    throw identity.clusters.notHome();
  };
  return {
    get people() {
      return elsewhere();
    },
    get apiKeys() {
      return elsewhere();
    },
    get signIns() {
      return elsewhere();
    },
    get keys() {
      return elsewhere();
    },
    get directory() {
      return elsewhere();
    },
    get rules() {
      return elsewhere();
    },
  };
}

/** Strangers' refusals can't fill the log. */
function membershipRecords({ audit, refusals }: Stores, addressFrom: "edge" | "peer"): MembershipRecords {
  return {
    outcome: (code, call, cluster, refusal) => {
      const { method = "", requestId = "", address = "" } = call ?? {};
      const shared = { subject: `cluster:${cluster}`, method, requestId, address, addressFrom };
      if (refusal === undefined) return audit.record(eventOf(code, { ...shared, decision: "allowed" }));
      const reason = refusal.reason ?? refusal.code;
      return refusals.record(eventOf(code, { ...shared, decision: "refused", reason }));
    },
  };
}

function hostAndPort(address: string): string {
  const { hostname, port } = new URL(address);
  return `${hostname}:${port === "" ? "443" : port}`;
}
