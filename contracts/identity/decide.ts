/**
 * The one decision: may this principal do that to this resource? The same function in both planes, and the same
 * answer to the same question every time. Not part of the package's index: clients and workers decide nothing.
 */

import { loadedPolicy } from "./cedar/loaded.ts";
import { roleOf } from "./cedar/policies.ts";
import { type Assignment, isKeptOut, type PolicyBundle } from "./policy-document.ts";
import type { Actor, Decision, Resource } from "./requests.ts";
import type { Permission } from "./roles.ts";

/** `bundle` is undefined where none is in date. */
export function decide(
  actor: Actor,
  permission: Permission,
  resource: Resource,
  bundle: PolicyBundle | undefined,
): Decision {
  const settled = decideWithoutPolicy(actor, permission, resource, bundle);
  if (settled !== undefined) return settled;
  const isAllowed = loadedPolicy(bundle!).isAllowed(actor, permission, resource);
  return isAllowed ? { kind: "allowed", delegated: actor.kind === "task" } : { kind: "denied" };
}

/** What no role can change; undefined where the policy decides. */
function decideWithoutPolicy(
  actor: Actor,
  permission: Permission,
  resource: Resource,
  bundle: PolicyBundle | undefined,
): Decision | undefined {
  if (resource.org !== actor.org) return { kind: "hidden" };
  // A running attempt's own sub-actions go on while no policy comes.
  if (isOwnChildren(permission)) {
    if (actor.kind === "task") return isOwnAttempt(actor, resource) ? ownAllowed : { kind: "denied" };
    return bundle === undefined
      ? { kind: "stale" }
      : { kind: bundle.org === actor.org ? "denied" : "hidden" };
  }
  if (bundle === undefined) return { kind: "stale" };
  if (bundle.org !== actor.org) return { kind: "hidden" };
  if (actor.kind !== "task") return undefined;
  const { attempt, actingFor } = actor;
  const isUnfit = attempt === undefined || actingFor === undefined || isKeptOut(bundle, actingFor);
  return isUnfit ? { kind: "denied" } : undefined;
}

const ownAllowed: Decision = { kind: "allowed", delegated: false };

function isOwnChildren(permission: Permission): boolean {
  return permission === "children.read" || permission === "children.write";
}

function isOwnAttempt({ attempt }: Actor, resource: Resource): boolean {
  return (
    attempt !== undefined &&
    resource.run === attempt.run &&
    resource.action === attempt.action &&
    resource.project === attempt.project &&
    resource.domain === attempt.domain
  );
}

/** Why a decision is what it is, for people. */
export interface Explanation {
  readonly decision: Decision;
  readonly because: readonly Because[];
}
export interface Because {
  /** Name of the policy that permits, or forbids. */
  readonly policy: string;
  /** Those that would be enough alone; none where the policy forbids. */
  readonly assignments: readonly Assignment[];
}

export function explain(
  actor: Actor,
  permission: Permission,
  resource: Resource,
  bundle: PolicyBundle | undefined,
): Explanation {
  const decision = decide(actor, permission, resource, bundle);
  const settled = decideWithoutPolicy(actor, permission, resource, bundle);
  if (settled !== undefined || bundle === undefined) return { decision, because: [] };
  const policy = loadedPolicy(bundle);
  const held = policy.assignmentsOf(actor);
  const because = policy.ask(actor, permission, resource, held).policies.map((id) => ({
    policy: id,
    assignments: held.filter(
      (one) =>
        one.role === roleOf(id) && policy.ask(actor, permission, resource, [one]).policies.includes(id),
    ),
  }));
  return { decision, because };
}
