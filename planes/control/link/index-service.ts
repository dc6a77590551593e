/** IndexService: the organization's index, asked by a router for a signed-in subject. */
import type { IndexMethod } from "@biplane/classification/control-table";
import type { IndexService } from "@biplane/control-wire";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import { recordAllowed } from "../audit/allow.ts";
import { listClusters } from "../clusters/clusters.ts";
import { placeRun } from "../placing/placing.ts";
import { authorize, type NamingRequest } from "../policy/authorize.ts";
import type { Policies } from "../policy/policies.ts";
import { type Principal, principalKey } from "../policy/principal.ts";
import {
  createProject,
  getProject,
  listProjects,
  updateOrganization,
  updateProject,
} from "../projects/projects.ts";
import { getRun, listActions, listAttempts, listRuns } from "../runs/reads.ts";
import { listTasks } from "../tasks/tasks.ts";
import { getAuditLog, readAuditRecords, readAuditTile } from "./audit-reads.ts";
import type { LinkDependencies } from "./session.ts";

export interface IndexDependencies extends LinkDependencies {
  readonly policies: Policies;
}

export function createIndexService(dependencies: IndexDependencies): ServiceImpl<typeof IndexService> {
  const { store, audit, clock, sessions, region, documents } = dependencies;
  const guarded = guardedBy(dependencies.policies);
  const isConnected = (org: string) => (cluster: string) => sessions.find(org, cluster) !== undefined;
  return {
    createProject: guarded("createProject", async (request, { org }) => ({
      project: await createProject(store, org, request, clock.now()),
    })),
    updateProject: guarded("updateProject", async (request, { org }) => ({
      project: await updateProject(store, org, request),
    })),
    updateOrganization: guarded("updateOrganization", async (request, { org }) => {
      await updateOrganization(store, org, request);
      return {};
    }),
    getProject: guarded("getProject", async (request, { org }) => ({
      project: await getProject(store, org, request.id),
    })),
    listProjects: guarded("listProjects", (request, { org }) => listProjects(store, org, request)),
    place: guarded("place", (request, { org, cluster }) =>
      placeRun(store, org, request.project, cluster, isConnected(org)),
    ),
    listClusters: guarded("listClusters", async (_, { org }) => {
      const { root, intermediates } = await documents.fingerprints(org);
      const clusters = await listClusters(store, org, isConnected(org));
      for (const one of clusters) {
        one.intermediateFingerprint = intermediates.get(one.name) ?? one.intermediateFingerprint;
      }
      return { clusters, controlPlaneRegion: region, rootFingerprint: root };
    }),
    getRun: guarded("getRun", (request, { org }) => getRun(store, org, request.run)),
    listRuns: guarded("listRuns", (request, { org }) => listRuns(store, org, request)),
    listActions: guarded("listActions", (request, { org }) => listActions(store, org, request)),
    listAttempts: guarded("listAttempts", (request, { org }) => listAttempts(store, org, request)),
    listTasks: guarded("listTasks", (request, { org }) => listTasks(store, org, request)),
    getAuditLog: guarded("getAuditLog", (_, principal) => getAuditLog(audit, principal)),
    readAuditRecords: guarded("readAuditRecords", (request, principal) =>
      readAuditRecords(audit, principal, request),
    ),
    readAuditTile: guarded("readAuditTile", (request, principal) => readAuditTile(audit, principal, request)),
  };
}

type Guarded = <Request extends object, Response>(
  method: IndexMethod,
  handle: (request: Request, principal: Principal) => Promise<Response>,
) => (request: Request, context: HandlerContext) => Promise<Response>;

/** Handlers that the one decision point lets through. */
function guardedBy(policies: Policies): Guarded {
  return (method, handle) => async (request, context) => {
    const principal = context.values.get(principalKey);
    if (principal === undefined) throw new Error("The index was asked without a verified subject.");
    authorize(principal, method, request as NamingRequest, await policies.current(principal.org));
    await recordAllowed(context.values);
    return handle(request, principal);
  };
}
