/** Random policies and random questions about them, the same ones for the same seed. */
import {
  type Actor,
  deniedForGood,
  type Permission,
  type PolicyContent,
  permissions,
  type Resource,
} from "@biplane/identity";
import { type Random, seededRandom } from "../frame/random.ts";
import type { Policy, World } from "./model.ts";

export interface Question {
  readonly actor: Actor;
  readonly permission: Permission;
  readonly resource: Resource;
}

/** What questions are about; each has one at least. */
export interface Names {
  readonly org: string;
  readonly projects: readonly string[];
  readonly domains: readonly string[];
  readonly subjects: readonly string[];
  readonly groups: readonly string[];
}

const madeUp: Names = {
  org: "acme",
  projects: ["a", "b", "flights"],
  domains: ["development", "staging", "production"],
  subjects: ["ada", "bob", "svc-1", "task:x", "constructor"],
  groups: ["team", "ops", "subject ada", "toString"],
};
/** Names that would be others' if somebody joined or split them carelessly. */
const odd = ["a/b", "a%2Fb", "__proto__", "*", "A", "a\u0000", 'a" ]'];
const unused = "no-such-name";
const customRoles = ["Deployer", "Auditor.v2", "constructor"];

export class Questions {
  readonly world: World;
  readonly #seed: number;
  readonly #names: Names;
  readonly #random: Random;

  constructor(seed: number, names = madeUp) {
    this.#seed = seed;
    this.#names = names;
    this.#random = seededRandom(seed);
    this.world = {
      projects: [...names.projects, ...odd, unused],
      domains: [...names.domains, ...odd, unused],
    };
  }

  /** Of each twenty seeds in a row one has no policy, and one has another organization's. */
  policy(): Policy | undefined {
    const turn = this.#seed % 20;
    if (turn === 0) return undefined;
    return { org: turn === 10 ? "other" : this.#names.org, content: this.#content() };
  }

  question(): Question {
    const random = this.#random;
    const { org, projects, domains, subjects, groups } = this.#names;
    const kind = random.pick(["user", "user", "service", "task"] as const);
    const project = random.pick(projects);
    const domain = random.pick(domains);
    const actor: Actor = {
      org,
      subject: kind === "task" ? "task:x" : random.pick(subjects),
      kind,
      groups: groups.filter(() => this.#oneIn(4)),
      ...(kind !== "task" || this.#oneIn(40)
        ? {}
        : { attempt: { project, domain, run: "r1", action: "a0" }, actingFor: random.pick(subjects) }),
    };
    return { actor, permission: random.pick(permissions), resource: this.#resource(actor) };
  }

  #content(): PolicyContent {
    const random = this.#random;
    const { projects, domains, subjects, groups } = this.#names;
    const roles = customRoles
      .filter(() => this.#oneIn(2))
      .map((name) => ({
        name,
        permissions: [
          ...permissions.filter(() => this.#oneIn(4)),
          ...(this.#oneIn(4) ? ["weather.read"] : []),
        ],
      }));
    const named = ["Admin", "Contributor", "Viewer", ...customRoles, "Ghost"];
    const assignments = Array.from({ length: random.below(10) }, (_, index) => ({
      id: `a-${index}`,
      principal: this.#oneIn(3)
        ? { kind: "group" as const, id: random.pick(groups) }
        : { kind: "subject" as const, id: random.pick(subjects) },
      role: random.pick(named),
      scope: {
        ...(this.#oneIn(2) ? { project: random.pick(projects) } : {}),
        ...(this.#oneIn(2) ? { domain: random.pick(domains) } : {}),
      },
    }));
    const denied = subjects
      .filter(() => this.#oneIn(10))
      .map((id) => {
        const issuedUntil = this.#oneIn(3) ? 1 : deniedForGood;
        return { kind: "subject" as const, id, issuedUntil, until: 2 };
      });
    return { roles, assignments, denied };
  }

  #resource({ attempt }: Actor): Resource {
    const random = this.#random;
    const { org, projects, domains } = this.#names;
    // Often its own, since nothing else is a task's.
    if (attempt !== undefined && this.#oneIn(2)) return { org, ...attempt };
    const inOrg = { org: this.#oneIn(50) ? "other" : org };
    const project = this.#oneIn(12) ? random.pick(odd) : random.pick(projects);
    const domain = this.#oneIn(12) ? random.pick(odd) : random.pick(domains);
    const shape = random.below(6);
    if (shape === 0) return inOrg;
    if (shape === 1) return { ...inOrg, project };
    if (shape === 2) return { ...inOrg, domain };
    return { ...inOrg, project, domain, ...(this.#oneIn(2) ? { run: `r${random.below(3)}` } : {}) };
  }

  #oneIn(count: number): boolean {
    return this.#random.below(count) === 0;
  }
}
