/** IndexService: the organization's index, asked by a router for a signed-in subject. */
import type { IndexService, RunRef } from "@biplane/control-wire";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import { listClusters } from "../clusters/clusters.ts";
import { placeRun } from "../placing/placing.ts";
import { authorize, type IndexMethod } from "../policy/authorize.ts";
import { type Principal, principalKey } from "../policy/principal.ts";
import { createProject, getProject, listProjects, updateProject } from "../projects/projects.ts";
import { getRun, listActions, listAttempts, listRuns } from "../runs/reads.ts";
import { listTasks } from "../tasks/tasks.ts";
import { getAuditLog, readAuditRecords, readAuditTile } from "./audit-reads.ts";
import type { LinkDependencies } from "./session.ts";

export function createIndexService(dependencies: LinkDependencies): ServiceImpl<typeof IndexService> {
  const { store, audit, clock, sessions, region } = dependencies;
  const isConnected = (org: string) => (cluster: string) => sessions.find(org, cluster) !== undefined;
  return {
    createProject: guarded("createProject", async (request, { org }) => ({
      project: await createProject(store, org, request, clock.now()),
    })),
    updateProject: guarded("updateProject", async (request, { org }) => ({
      project: await updateProject(store, org, request),
    })),
    getProject: guarded("getProject", async (request, { org }) => ({
      project: await getProject(store, org, request.id),
    })),
    listProjects: guarded("listProjects", (request, { org }) => listProjects(store, org, request)),
    place: guarded("place", (request, { org, cluster }) =>
      placeRun(store, org, request.project, cluster, isConnected(org)),
    ),
    listClusters: guarded("listClusters", async (_, { org }) => ({
      clusters: await listClusters(store, org, isConnected(org)),
      controlPlaneRegion: region,
    })),
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

/** A handler that the one decision point has let through. */
function guarded<Request extends object, Response>(
  method: IndexMethod,
  handle: (request: Request, principal: Principal) => Promise<Response>,
) {
  return (request: Request, context: HandlerContext): Promise<Response> => {
    const principal = context.values.get(principalKey);
    if (principal === undefined) throw new Error("The index was asked without a verified subject.");
    authorize(principal, method, { org: orgNamedBy(request) });
    return handle(request, principal);
  };
}

function orgNamedBy(request: { run?: RunRef }): string {
  return request.run?.org ?? "";
}
