/** Which code stands for which method of the control plane: a method without one does not compile. */
import type { AuditCode } from "@biplane/audit";
import type { EnrollmentService, IndexService, LinkService } from "@biplane/control-wire";

type MethodsOf<S extends { readonly method: object; readonly typeName: string }> = keyof S["method"];

const index: Readonly<Record<MethodsOf<typeof IndexService>, AuditCode>> = {
  createProject: "INDEX_PROJECT_CREATED",
  updateProject: "INDEX_PROJECT_UPDATED",
  getProject: "INDEX_PROJECT_READ",
  listProjects: "INDEX_PROJECTS_LISTED",
  place: "INDEX_PLACED",
  listClusters: "INDEX_CLUSTERS_LISTED",
  getRun: "INDEX_RUN_READ",
  listRuns: "INDEX_RUNS_LISTED",
  listActions: "INDEX_ACTIONS_LISTED",
  listAttempts: "INDEX_ATTEMPTS_LISTED",
  listTasks: "INDEX_TASKS_LISTED",
  getAuditLog: "INDEX_AUDIT_STATE_READ",
  readAuditRecords: "INDEX_AUDIT_RECORDS_READ",
  readAuditTile: "INDEX_AUDIT_TILE_READ",
};
const link: Readonly<Record<MethodsOf<typeof LinkService>, AuditCode>> = { connect: "LINK_CONNECTED" };
const enrollment: Readonly<Record<MethodsOf<typeof EnrollmentService>, AuditCode>> = {
  enroll: "CLUSTER_ENROLLED",
  renew: "CERTIFICATE_RENEWED",
};

/** By the method's name as code: no two services here share one. */
export const methodCodes: Readonly<Record<string, AuditCode>> = { ...index, ...link, ...enrollment };
