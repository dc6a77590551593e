/** The one decision: may this principal do that to this resource? Pure, so that every place decides alike. */

import { broadPermissions, delegatedPermissions, type Permission, type RoleName, roles } from "./roles.ts";
import type { TokenKind } from "./tokens.ts";

/** Where an assignment holds: nothing given is the whole organization, `domain` alone is that domain of every project. */
export interface AssignmentScope {
  readonly project?: string;
  readonly domain?: string;
}

export interface Assignment {
  readonly subject: string;
  readonly role: RoleName;
  readonly scope: AssignmentScope;
}

export interface PolicyBundle {
  readonly org: string;
  /** Grows with each change. */
  readonly version: number;
  readonly assignments: readonly Assignment[];
}

/** What a request is about; absent parts mean "all of them". */
export interface Resource {
  readonly org: string;
  readonly project?: string | undefined;
  readonly domain?: string | undefined;
  readonly run?: string | undefined;
  readonly action?: string | undefined;
}

export interface Actor {
  readonly org: string;
  readonly subject: string;
  readonly kind: TokenKind;
  readonly attempt?:
    | { readonly project: string; readonly domain: string; readonly run: string; readonly action: string }
    | undefined;
  readonly actingFor?: string | undefined;
}

export type Decision =
  | { readonly kind: "allowed"; readonly delegated: boolean }
  /** The answer is NOT_FOUND: another organization's things do not exist here. */
  | { readonly kind: "hidden" }
  | { readonly kind: "denied" };

export function decide(
  actor: Actor,
  permission: Permission,
  resource: Resource,
  bundle: PolicyBundle,
): Decision {
  if (resource.org !== actor.org || bundle.org !== actor.org) return { kind: "hidden" };
  if (actor.kind === "task") return decideForTask(actor, permission, resource, bundle);
  return answer(holds(actor.subject, permission, resource, bundle), false);
}

function decideForTask(
  actor: Actor,
  permission: Permission,
  resource: Resource,
  bundle: PolicyBundle,
): Decision {
  const { attempt, actingFor } = actor;
  if (attempt === undefined || actingFor === undefined) return { kind: "denied" };
  if (permission === "children.read" || permission === "children.write") {
    return answer(resource.run === attempt.run && resource.action === attempt.action && sameHome(), false);
  }
  const home = broadPermissions.has(permission) ? touches(attempt, resource) : sameHome();
  const delegated = delegatedPermissions.has(permission) && home;
  return answer(delegated && holds(actingFor, permission, resource, bundle), true);

  function sameHome(): boolean {
    return resource.project === attempt?.project && resource.domain === attempt?.domain;
  }
}

function answer(allowed: boolean, delegated: boolean): Decision {
  return allowed ? { kind: "allowed", delegated } : { kind: "denied" };
}

function holds(subject: string, permission: Permission, resource: Resource, bundle: PolicyBundle): boolean {
  const reaches = broadPermissions.has(permission) ? touches : covers;
  return bundle.assignments.some(
    (assignment) =>
      assignment.subject === subject &&
      (roles[assignment.role] as ReadonlySet<Permission>).has(permission) &&
      reaches(assignment.scope, resource),
  );
}

function covers(scope: AssignmentScope, resource: Resource): boolean {
  return (
    (scope.project === undefined || scope.project === resource.project) &&
    (scope.domain === undefined || scope.domain === resource.domain)
  );
}

function touches(scope: AssignmentScope, resource: Resource): boolean {
  return (
    (scope.project === undefined || resource.project === undefined || scope.project === resource.project) &&
    (scope.domain === undefined || resource.domain === undefined || scope.domain === resource.domain)
  );
}
