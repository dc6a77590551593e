/** Roles as Cedar policies: built-in and custom ones alike. Who holds a role, and where, comes with each request. */
import type { CustomRole } from "../policy-document.ts";
import { broadPermissions, delegatedPermissions, isRoleName, type Permission, roles } from "../roles.ts";
import { decidedByPolicy } from "./schema.ts";

export type CedarPolicies = Readonly<Record<string, string>>;

/** Which role a policy stands for; undefined for one that permits nothing. */
export function roleOf(policyId: string): string | undefined {
  const [kind, role] = policyId.split(" ");
  return kind === "role" || kind === "members" ? role : undefined;
}

/** By id. A custom role never changes what a built-in name means. */
export function policiesOf(customRoles: readonly CustomRole[]): CedarPolicies {
  const all = new Map<string, Set<string>>();
  for (const [name, permissions] of Object.entries(roles)) all.set(name, new Set(permissions));
  for (const { name, permissions } of customRoles) {
    if (isRoleName(name)) continue;
    all.set(name, new Set([...(all.get(name) ?? []), ...permissions]));
  }
  const policies: Record<string, string> = { "limits of attempts": limitsOfAttempts };
  for (const [name, permissions] of all) Object.assign(policies, policiesOfRole(name, permissions));
  return policies;
}

function policiesOfRole(name: string, permitted: ReadonlySet<string>): Record<string, string> {
  const known = decidedByPolicy.filter((permission) => permitted.has(permission));
  const broad = known.filter((permission) => broadPermissions.has(permission));
  return {
    ...(known.length === 0 ? {} : { [`role ${name}`]: permitInside(name, known) }),
    ...(broad.length === 0 ? {} : { [`members ${name}`]: permitAround(name, broad) }),
  };
}

/** In what the role was assigned for, and everything below. */
function permitInside(role: string, permitted: readonly Permission[]): string {
  const held = `principal.getTag("${role}")`;
  return `permit (principal, action in ${list(permitted)}, resource)
when {
  principal.hasTag("${role}") &&
  (resource in ${held}.organizations || resource in ${held}.domains ||
   resource in ${held}.projects || resource in ${held}.projectDomains)
};`;
}

/**
 * Around what the role was assigned for: who has it in a part of something may see that the whole is there. A project
 * and a domain lie in no other, and yet they meet.
 */
function permitAround(role: string, permitted: readonly Permission[]): string {
  const held = `principal.getTag("${role}")`;
  return `permit (principal, action in ${list(permitted)}, resource)
when {
  principal.hasTag("${role}") &&
  (${held} in resource ||
   (resource is Project && !${held}.domains.isEmpty()) ||
   (resource is Domain && !${held}.projects.isEmpty()))
};`;
}

/** What no role of a submitter gives to their tasks (claim IAM-4). */
const limitsOfAttempts = `forbid (principal is Attempt, action, resource)
unless {
  action in ${list(decidedByPolicy.filter((permission) => delegatedPermissions.has(permission)))} &&
  (resource in principal.home || (action in ${list([...broadPermissions])} && principal.home in resource))
};`;

function list(permissions: readonly Permission[]): string {
  return `[${permissions.map((permission) => `Action::"${permission}"`).join(", ")}]`;
}
