/**
 * What the policy should decide, said once more and in another way: a place is the set of its project-domains, and a
 * role permits where the places of its assignments hold the whole place asked about, or for a few permissions any part
 * of it. Tables are written by hand; nothing here comes from contracts/identity but types.
 */
import type { Actor, PolicyContent, Resource } from "@biplane/identity";

const viewer = [
  "identity.self cluster.select project.read task.read run.read data.read records.read trigger.read secret.read",
];
const contributor = [...viewer, "task.deploy run.create run.abort data.upload trigger.write secret.write"];
const admin = [
  ...contributor,
  "project.create project.update border.read policy.read policy.write keys.read keys.write audit.read",
  "identity.read identity.manage cluster.manage",
];
const words = (lines: readonly string[]) => new Set(lines.join(" ").split(" "));
export const builtIn: Readonly<Record<string, ReadonlySet<string>>> = {
  Admin: words(admin),
  Contributor: words(contributor),
  Viewer: words(viewer),
};
const anyPart = words(["identity.self cluster.select project.read"]);
const ofTasks = words([
  "identity.self cluster.select project.read task.read run.read run.create run.abort data.read data.upload",
]);
const ownChildren = words(["children.read children.write"]);

export interface Policy {
  readonly org: string;
  readonly content: PolicyContent;
}

/** Every name that is used, and one that is not: no place is the whole organization by chance. */
export interface World {
  readonly projects: readonly string[];
  readonly domains: readonly string[];
}

export function modelDecision(
  world: World,
  policy: Policy | undefined,
  actor: Actor,
  permission: string,
  resource: Resource,
): string {
  if (resource.org !== actor.org) return "hidden";
  const { attempt } = actor;
  if (actor.kind === "task" && ownChildren.has(permission)) {
    const parts = ["project", "domain", "run", "action"] as const;
    const isOwn = attempt !== undefined && parts.every((part) => attempt[part] === resource[part]);
    return isOwn ? "allowed" : "denied";
  }
  if (policy === undefined) return "stale";
  if (policy.org !== actor.org) return "hidden";
  if (ownChildren.has(permission)) return "denied";
  const asked = cells(world, resource);
  const reaches = (place: ReadonlySet<string>) =>
    anyPart.has(permission)
      ? [...asked].some((cell) => place.has(cell))
      : [...asked].every((cell) => place.has(cell));
  const permits = () =>
    policy.content.assignments.some(
      ({ principal, role, scope }) =>
        (principal.kind === "group"
          ? actor.groups.includes(principal.id)
          : principal.id === (actor.kind === "task" ? actor.actingFor : actor.subject)) &&
        grants(policy.content, role, permission) &&
        reaches(cells(world, scope)),
    );
  if (actor.kind !== "task") return permits() ? "allowed" : "denied";
  const mayBegin =
    attempt !== undefined &&
    actor.actingFor !== undefined &&
    !policy.content.denied.some(
      // Whose sign-ins were ended may sign in again; 2^53 - 1 stands for those who may not.
      ({ kind, id, issuedUntil }) =>
        kind === "subject" && id === actor.actingFor && issuedUntil === 9_007_199_254_740_991,
    ) &&
    ofTasks.has(permission) &&
    reaches(cells(world, { project: attempt.project, domain: attempt.domain }));
  return mayBegin && permits() ? "delegated" : "denied";
}

function grants({ roles }: PolicyContent, role: string, permission: string): boolean {
  const builtInRole = Object.hasOwn(builtIn, role) ? builtIn[role] : undefined;
  if (builtInRole !== undefined) return builtInRole.has(permission);
  return roles.some(({ name, permissions }) => name === role && permissions.includes(permission));
}

function cells(
  { projects, domains }: World,
  place: { readonly project?: string | undefined; readonly domain?: string | undefined },
): ReadonlySet<string> {
  const found = new Set<string>();
  for (const project of projects) {
    for (const domain of domains) {
      const fits = (place.project ?? project) === project && (place.domain ?? domain) === domain;
      if (fits) found.add(JSON.stringify([project, domain]));
    }
  }
  return found;
}
