/** A policy bundle made ready for decisions: its roles parsed, its assignments by who has them. */
import type { Assignment, CustomRole, PolicyBundle } from "../policy-document.ts";
import type { Actor, Resource } from "../requests.ts";
import type { Permission } from "../roles.ts";
import { ask, type CedarAnswer, policySetOf } from "./engine.ts";
import { requestOf } from "./entities.ts";
import { Recent } from "./recent.ts";

/** Of all bundles together, so that a process which serves many organizations has one bound. */
const answersMax = 50_000;
const answers = new Recent<boolean>(answersMax);

export class LoadedPolicy {
  readonly #roles: readonly CustomRole[];
  readonly #number: number;
  readonly #byHolder = new Map<string, Assignment[]>();

  constructor(bundle: PolicyBundle, number: number) {
    this.#roles = bundle.roles;
    this.#number = number;
    for (const assignment of bundle.assignments) {
      const { kind, id } = assignment.principal;
      const key = `${kind} ${id}`;
      this.#byHolder.set(key, [...(this.#byHolder.get(key) ?? []), assignment]);
    }
    policySetOf(bundle.roles);
  }

  /** No policy tells one thing from another inside a scope: the answer holds for all of them. */
  isAllowed(actor: Actor, permission: Permission, resource: Resource): boolean {
    const groups = this.#groupsOf(actor);
    const key = keyOf(this.#number, actor, groups, permission, resource);
    const known = answers.get(key);
    if (known !== undefined) return known;
    const { isAllowed } = this.ask(actor, permission, resource, this.assignmentsOf(actor, groups));
    answers.set(key, isAllowed);
    return isAllowed;
  }

  ask(
    actor: Actor,
    permission: Permission,
    resource: Resource,
    assignments: readonly Assignment[],
  ): CedarAnswer {
    return ask(policySetOf(this.#roles), requestOf(actor, permission, resource, assignments));
  }

  /** The actor's, its groups', and where it acts for somebody theirs in place of its own. */
  assignmentsOf(actor: Actor, groups: readonly string[] = this.#groupsOf(actor)): readonly Assignment[] {
    const own = this.#byHolder.get(`subject ${holderOf(actor)}`) ?? [];
    return [...own, ...groups.flatMap((group) => this.#byHolder.get(`group ${group}`) ?? [])];
  }

  /** People may be in a thousand groups, of which a policy names few. */
  #groupsOf({ groups }: Actor): readonly string[] {
    if (groups.length === 0) return groups;
    return [...new Set(groups)].filter((group) => this.#byHolder.has(`group ${group}`)).sort();
  }
}

function holderOf({ kind, subject, actingFor }: Actor): string {
  return kind === "task" ? (actingFor ?? "") : subject;
}

function keyOf(
  policy: number,
  actor: Actor,
  groups: readonly string[],
  permission: Permission,
  { project, domain }: Resource,
): string {
  const { kind, attempt } = actor;
  const parts = [policy, kind, holderOf(actor), permission, project, domain];
  const rest = attempt === undefined ? groups : [attempt.project, attempt.domain, ...groups];
  // As JSON, so that no name can run into the next one.
  return JSON.stringify(rest.length === 0 ? parts : [...parts, attempt === undefined, ...rest]);
}

const loaded = new WeakMap<PolicyBundle, LoadedPolicy>();
let count = 0;

export function loadedPolicy(bundle: PolicyBundle): LoadedPolicy {
  let policy = loaded.get(bundle);
  if (policy === undefined) {
    count += 1;
    policy = new LoadedPolicy(bundle, count);
    loaded.set(bundle, policy);
  }
  return policy;
}
