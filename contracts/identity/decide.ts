/** The one decision: may this principal do that to this resource? Pure, so that every place decides alike. */

import {
  type Assignment,
  type AssignmentScope,
  isSubjectDenied,
  type PolicyBundle,
} from "./policy-document.ts";
import { broadPermissions, delegatedPermissions, isRoleName, type Permission, roles } from "./roles.ts";
import type { TokenKind } from "./tokens.ts";

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
  /** Of people at the customer's own provider; a task has its submitter's. */
  readonly groups: readonly string[];
  readonly attempt?:
    | { readonly project: string; readonly domain: string; readonly run: string; readonly action: string }
    | undefined;
  readonly actingFor?: string | undefined;
}

export type Decision =
  | { readonly kind: "allowed"; readonly delegated: boolean }
  /** The answer is NOT_FOUND: another organization's things do not exist here. */
  | { readonly kind: "hidden" }
  | { readonly kind: "denied" }
  /** There is no policy that is in date: nothing can be decided until a new one has come (claim IAM-3). */
  | { readonly kind: "stale" };

/** Who is looked for in the assignments. */
interface Holder {
  readonly subject: string;
  readonly groups: readonly string[];
}

/** `bundle` is undefined where none is in date. */
export function decide(
  actor: Actor,
  permission: Permission,
  resource: Resource,
  bundle: PolicyBundle | undefined,
): Decision {
  if (resource.org !== actor.org) return { kind: "hidden" };
  if (isOwnChildren(permission) && actor.kind === "task") return answer(isOwnAttempt(actor, resource), false);
  if (bundle === undefined) return { kind: "stale" };
  if (bundle.org !== actor.org) return { kind: "hidden" };
  if (actor.kind === "task") return decideForTask(actor, permission, resource, bundle);
  return answer(holds(actor, permission, resource, bundle), false);
}

/** No policy permits these: a running attempt has them, and fan-out goes on while no policy comes. */
function isOwnChildren(permission: Permission): boolean {
  return permission === "children.read" || permission === "children.write";
}

function isOwnAttempt({ attempt }: Actor, resource: Resource): boolean {
  return (
    attempt !== undefined &&
    resource.run === attempt.run &&
    resource.action === attempt.action &&
    isHome(attempt, resource)
  );
}

function decideForTask(
  { attempt, actingFor, groups }: Actor,
  permission: Permission,
  resource: Resource,
  bundle: PolicyBundle,
): Decision {
  if (attempt === undefined || actingFor === undefined) return { kind: "denied" };
  const home = broadPermissions.has(permission) ? touches(attempt, resource) : isHome(attempt, resource);
  const delegated = delegatedPermissions.has(permission) && home && !isSubjectDenied(bundle, actingFor);
  return answer(delegated && holds({ subject: actingFor, groups }, permission, resource, bundle), true);
}

function isHome(attempt: NonNullable<Actor["attempt"]>, resource: Resource): boolean {
  return resource.project === attempt.project && resource.domain === attempt.domain;
}

function answer(allowed: boolean, delegated: boolean): Decision {
  return allowed ? { kind: "allowed", delegated } : { kind: "denied" };
}

function holds(holder: Holder, permission: Permission, resource: Resource, bundle: PolicyBundle): boolean {
  const reaches = broadPermissions.has(permission) ? touches : covers;
  return bundle.assignments.some(
    (assignment) =>
      isFor(assignment, holder) &&
      permits(bundle, assignment.role, permission) &&
      reaches(assignment.scope, resource),
  );
}

function isFor({ principal }: Assignment, { subject, groups }: Holder): boolean {
  return principal.kind === "subject" ? principal.id === subject : groups.includes(principal.id);
}

function permits(bundle: PolicyBundle, role: string, permission: Permission): boolean {
  if (isRoleName(role)) return (roles[role] as ReadonlySet<Permission>).has(permission);
  return bundle.roles.some(({ name, permissions }) => name === role && permissions.includes(permission));
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
