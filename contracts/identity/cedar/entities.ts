/** A request as Cedar sees it: principal with holdings, resource, and the scopes that both lie in. */
import type { EntityJson, TypeAndId } from "@cedar-policy/cedar-wasm/nodejs";
import type { Assignment, AssignmentScope } from "../policy-document.ts";
import type { Actor, Resource } from "../requests.ts";
import { broadPermissions, type Permission } from "../roles.ts";
import { principalTypes, type ScopeType, typeInside } from "./schema.ts";

export interface CedarRequest {
  readonly principal: TypeAndId;
  readonly action: TypeAndId;
  readonly resource: TypeAndId;
  readonly entities: EntityJson[];
}

/** `assignments` are those of the actor, or of whom it acts for, and of its groups. */
export function requestOf(
  actor: Actor,
  permission: Permission,
  resource: Resource,
  assignments: readonly Assignment[],
): CedarRequest {
  const entities = new Entities(actor.org);
  const principal = { type: principalTypes[actor.kind], id: actor.subject };
  const { attempt } = actor;
  entities.add(principal, {
    attrs: attempt === undefined ? {} : { home: { __entity: entities.scope(attempt) } },
    tags: entities.holdings(assignments, broadPermissions.has(permission)),
  });
  const place = entities.scope(resource);
  const type = typeInside(permission);
  const about = type === undefined ? place : { type, id: `${place.type} ${place.id}` };
  if (type !== undefined) entities.add(about, { parents: [place] });
  return { principal, action: { type: "Action", id: permission }, resource: about, entities: entities.all() };
}

const setOf: Readonly<Record<ScopeType, string>> = {
  Organization: "organizations",
  Domain: "domains",
  Project: "projects",
  ProjectDomain: "projectDomains",
};

class Entities {
  readonly #org: string;
  readonly #all = new Map<string, EntityJson>();

  constructor(org: string) {
    this.#org = org;
  }

  all(): EntityJson[] {
    return [...this.#all.values()];
  }

  add(uid: TypeAndId, parts: Partial<Omit<EntityJson, "uid">> = {}): TypeAndId {
    const key = `${uid.type} ${uid.id}`;
    // Cedar takes no entity twice.
    if (!this.#all.has(key)) this.#all.set(key, { uid, attrs: {}, parents: [], ...parts });
    return uid;
  }

  /** The scope, and everything that it lies in. */
  scope(scope: AssignmentScope): TypeAndId {
    const parents = wider(scope).map((one) => this.scope(one));
    return this.add(uidOf(this.#org, scope), { parents });
  }

  /** By role. Where a holding lies is needed only where its surroundings are asked for. */
  holdings(assignments: readonly Assignment[], withPlaces: boolean): Record<string, { __entity: TypeAndId }> {
    const places = new Map<string, TypeAndId[]>();
    for (const { role, scope } of assignments) {
      const place = withPlaces ? this.scope(scope) : uidOf(this.#org, scope);
      places.set(role, [...(places.get(role) ?? []), place]);
    }
    const tags: Record<string, { __entity: TypeAndId }> = {};
    for (const [role, held] of places) {
      const attrs = Object.fromEntries(
        Object.entries(setOf).map(([type, attribute]) => [
          attribute,
          held.filter((place) => place.type === type).map((place) => ({ __entity: place })),
        ]),
      );
      const uid = this.add({ type: "Holding", id: role }, { attrs, parents: withPlaces ? held : [] });
      tags[role] = { __entity: uid };
    }
    return tags;
  }
}

function wider({ project, domain }: AssignmentScope): readonly AssignmentScope[] {
  if (project !== undefined && domain !== undefined) return [{ project }, { domain }];
  return project === undefined && domain === undefined ? [] : [{}];
}

function uidOf(org: string, { project, domain }: AssignmentScope): { type: ScopeType; id: string } {
  if (project === undefined) {
    return domain === undefined
      ? { type: "Organization", id: name(org) }
      : { type: "Domain", id: name(org, domain) };
  }
  return domain === undefined
    ? { type: "Project", id: name(org, project) }
    : { type: "ProjectDomain", id: name(org, project, domain) };
}

/** Requests may say anything: `a/b` in `c` must not be `a` in `b/c`. */
function name(...parts: readonly string[]): string {
  return parts.map((part) => part.replace(/[%/]/g, encodeURIComponent)).join("/");
}
