/**
 * One row for each method that the control plane serves: who may call it, about what, and its audit code. A method
 * without a row does not compile, and is denied.
 */
import type { AuditCode } from "@biplane/audit";
import type { EnrollmentService, IndexService, LinkService } from "@biplane/control-wire";
import type { Permission } from "@biplane/identity";

export interface IndexRow {
  /** One of these is enough: the router has asked for exactly one before it passed the call on. */
  readonly permissions: readonly Permission[];
  /** Where the request names it: `project` by `id`, `project-domain` by its fields, `run` by `run`. */
  readonly resource: "organization" | "project" | "project-domain" | "run";
  readonly audit: AuditCode;
}

type MethodsOf<S extends { readonly method: object }> = keyof S["method"];
export type IndexMethod = MethodsOf<typeof IndexService>;

/** Called in a person's, a program's or a task's name, under a control token: the policy decides. */
export const indexTable: Readonly<Record<IndexMethod, IndexRow>> = {
  createProject: row(["project.create"], "project", "INDEX_PROJECT_CREATED"),
  updateProject: row(["project.update"], "project", "INDEX_PROJECT_UPDATED"),
  updateOrganization: row(["project.update"], "organization", "INDEX_ORGANIZATION_UPDATED"),
  getProject: row(["project.read"], "project", "INDEX_PROJECT_READ"),
  listProjects: row(["project.read", "records.read"], "organization", "INDEX_PROJECTS_LISTED"),
  place: row(["cluster.select"], "project-domain", "INDEX_PLACED"),
  listClusters: row(["cluster.select", "records.read"], "organization", "INDEX_CLUSTERS_LISTED"),
  getRun: row(["records.read"], "run", "INDEX_RUN_READ"),
  listRuns: row(["records.read"], "project-domain", "INDEX_RUNS_LISTED"),
  listActions: row(["records.read"], "run", "INDEX_ACTIONS_LISTED"),
  listAttempts: row(["records.read"], "run", "INDEX_ATTEMPTS_LISTED"),
  listTasks: row(["records.read"], "project-domain", "INDEX_TASKS_LISTED"),
  getAuditLog: row(["audit.read"], "organization", "INDEX_AUDIT_STATE_READ"),
  readAuditRecords: row(["audit.read"], "organization", "INDEX_AUDIT_RECORDS_READ"),
  readAuditTile: row(["audit.read"], "organization", "INDEX_AUDIT_TILE_READ"),
};

/** Called by a cluster in its own name, by its certificate, or with a one-time code: no policy is asked. */
export const clusterTable: Readonly<
  Record<MethodsOf<typeof LinkService> | MethodsOf<typeof EnrollmentService>, AuditCode>
> = {
  connect: "LINK_CONNECTED",
  enroll: "CLUSTER_ENROLLED",
  renew: "CERTIFICATE_RENEWED",
};

function row(permissions: readonly Permission[], resource: IndexRow["resource"], audit: AuditCode): IndexRow {
  return { permissions, resource, audit };
}
