/**
 * The control plane's one decision point. Roles are decided in the customer's router, before a call comes here; what
 * is decided here is which methods the index serves at all, and that a call stays within its organization.
 */
import { BiplaneError } from "@biplane/base";
import type { IndexService } from "@biplane/control-wire";
import type { Principal } from "./principal.ts";

export type IndexMethod = keyof (typeof IndexService)["method"];

/** What a method does to which resource; a method without a row is denied. */
export const permissions: Readonly<Record<IndexMethod, `${string}:${"read" | "write"}`>> = {
  createProject: "project:write",
  updateProject: "project:write",
  getProject: "project:read",
  listProjects: "project:read",
  place: "cluster:read",
  listClusters: "cluster:read",
  getRun: "run:read",
  listRuns: "run:read",
  listActions: "run:read",
  listAttempts: "run:read",
  listTasks: "task:read",
  getAuditLog: "audit:read",
  readAuditRecords: "audit:read",
  readAuditTile: "audit:read",
};

/** What a call is about; `org` is the one that its message names, empty where it names none. */
export interface Resource {
  readonly org: string;
}

/** Throws `permission_denied`, or `not_found` for everything of other organizations. */
export function authorize(principal: Principal, method: string, resource: Resource): void {
  if (!Object.hasOwn(permissions, method)) {
    throw new BiplaneError("permission_denied", `The index does not offer ${method}.`);
  }
  if (resource.org !== "" && resource.org !== principal.org) {
    throw new BiplaneError("not_found", "There is no such thing in this organization.");
  }
}
