/** The public side of the plane: router, identity authority and object server, over what the plane keeps. */
import type { Server } from "node:tls";
import type { OrgId } from "@biplane/base";
import { systemClock } from "@biplane/kit/clock";
import type { Logger } from "@biplane/kit/logging";
import { createServices } from "./api/index.ts";
import { ProjectCache } from "./api/project-cache.ts";
import { SubjectNames } from "./api/subject-names.ts";
import type { AuditParts } from "./audit/sources.ts";
import type { DataPlaneConfig } from "./config.ts";
import type { ServingCertificate } from "./identity/certificates.ts";
import { createCodeExchange } from "./identity/code-exchange.ts";
import type { ControlPlane } from "./link/types.ts";
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
  /** The organization's root, PEM. */
  readonly rootPem: string;
  /** Whose word public addresses are. */
  readonly addressFrom: "edge" | "peer";
  readonly log: Logger;
}

export type Service = keyof DataPlaneConfig["addresses"];

export interface Routing {
  readonly router: Router;
  /** They listen nowhere yet. */
  readonly servers: Readonly<Record<Service, Server>>;
}

export async function createRouting(parts: RoutingParts): Promise<Routing> {
  const { config, stores, serving, log } = parts;
  const { org, addresses } = config;
  const { identity } = stores;
  const authority = serving.keepFresh(identity.createServer(serving.identity));
  const objects = serving.keepFresh(stores.objects.createServer({ identity: serving.identity }));
  const audit = createCallAudit(stores.audit, stores.refusals, parts.addressFrom, systemClock);
  const sessions = new PageSessions({
    ...addresses,
    exchange: createCodeExchange(authority, addresses.authority, parts.rootPem),
    clock: systemClock,
  });
  const { authenticator, policy } = identity;
  const deciding = { org, authenticator, policy, audit, log };
  const router = createRouter({
    ...deciding,
    hosts: new Set([hostAndPort(addresses.router)]),
    serving,
    services: await openServices(parts),
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
  return { router, servers: { router: serving.keepFresh(router.server), authority, objects } };
}

function auditParts(org: OrgId, { audit, witness }: Stores): AuditParts {
  return { org, own: audit, witness };
}

async function openServices({ config, stores, controlPlane }: RoutingParts): Promise<ServedService[]> {
  const { org, cluster, addresses } = config;
  const { identity, objects } = stores;
  const projects = new ProjectCache(org, stores.database, identity.sealing);
  await projects.load();
  return createServices({
    org,
    cluster,
    authority: addresses.authority,
    runs: stores.runs.runs,
    objects: objects.store,
    grants: objects.grants(addresses.objects),
    logs: stores.logs,
    keys: stores.keys,
    controlPlane,
    ledger: stores.ledger,
    audit: auditParts(org, stores),
    policy: identity.policy,
    projects,
    subjects: new SubjectNames(identity.directory),
    clock: systemClock,
  });
}

function hostAndPort(address: string): string {
  const { hostname, port } = new URL(address);
  return `${hostname}:${port === "" ? "443" : port}`;
}
