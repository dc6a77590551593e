/**
 * Roles and assignments as administrators change them. Each change is one transaction with the bundle that says so, and
 * none leaves the organization without somebody who administers it.
 */
import { BiplaneError, type OrgId, parseDomainId, parseProjectId } from "@biplane/base";
import {
  type Assignment,
  type AssignmentPrincipal,
  type CustomRole,
  isRoleName,
  type Permission,
  permissions,
  policyLimits,
  roleNamePattern,
  roles,
} from "@biplane/identity";
import { decidedByPolicy } from "@biplane/identity/cedar/schema";
import type { Clock } from "@biplane/kit/clock";
import { unknownRole } from "../identity/subject-rules.ts";
import { keepAdministrator } from "./administrators.ts";
import { assignmentOf, type Policy, type PolicyTransaction, parsePermissions } from "./policy.ts";
import { isRole } from "./roles.ts";

export interface Role extends CustomRole {
  readonly builtIn: boolean;
}

export interface NewAssignment {
  readonly principal: AssignmentPrincipal;
  readonly role: string;
  readonly project: string;
  readonly domain: string;
}

/** What is undefined stays as it was; an empty place is everywhere. */
export interface AssignmentChanges {
  readonly role: string | undefined;
  readonly project: string | undefined;
  readonly domain: string | undefined;
}

export interface PolicyAdministrationParts {
  readonly org: OrgId;
  readonly policy: Policy;
  readonly clock: Clock;
  readonly read: <T>(work: (transaction: PolicyTransaction) => Promise<T>) => Promise<T>;
}

const groupPattern = /^[^\p{Cc}]{1,255}$/u;

export class PolicyAdministration {
  readonly #parts: PolicyAdministrationParts;

  constructor(parts: PolicyAdministrationParts) {
    this.#parts = parts;
  }

  async roles(): Promise<readonly Role[]> {
    const own = await this.#parts.read((transaction) => this.#ownRoles(transaction));
    return [...builtInRoles, ...own];
  }

  async role(name: string): Promise<Role> {
    const found = (await this.roles()).find((role) => role.name === name);
    if (found === undefined) throw noRole(name);
    return found;
  }

  async createRole(name: string, wanted: readonly string[]): Promise<Role> {
    const role = prepareRole(name, wanted);
    await this.#parts.policy.change(async (transaction) => {
      if (await isRole(transaction, this.#parts.org, name)) throw roleExists(name);
      await transaction
        .insertInto("policy_roles")
        .values({
          org_id: this.#parts.org,
          name,
          permissions: JSON.stringify(role.permissions),
          created_at_ms: this.#parts.clock.now(),
        })
        .execute();
    });
    return role;
  }

  async updateRole(name: string, wanted: readonly string[]): Promise<Role> {
    const role = prepareRole(name, wanted);
    await this.#parts.policy.change(async (transaction) => {
      const { numUpdatedRows } = await transaction
        .updateTable("policy_roles")
        .set({ permissions: JSON.stringify(role.permissions) })
        .where((where) => where.and({ org_id: this.#parts.org, name }))
        .executeTakeFirst();
      if (numUpdatedRows === 0n) throw noRole(name);
    });
    return role;
  }

  async deleteRole(name: string): Promise<void> {
    if (isRoleName(name)) throw isBuiltIn(name);
    await this.#parts.policy.change(async (transaction) => {
      const { org } = this.#parts;
      const holders = await transaction
        .selectFrom("identity_assignments")
        .select("subject")
        .where((where) => where.and({ org_id: org, role: name }))
        .execute();
      if (holders.length > 0) throw roleInUse(name, holders.length);
      const { numDeletedRows } = await transaction
        .deleteFrom("policy_roles")
        .where((where) => where.and({ org_id: org, name }))
        .executeTakeFirst();
      if (numDeletedRows === 0n) throw noRole(name);
    });
  }

  /** In the order of their ids, those after one of them. */
  async assignments(after: string, limit: number): Promise<readonly Assignment[]> {
    const rows = await this.#parts.read((transaction) => this.#rows(transaction));
    return rows
      .map(assignmentOf)
      .filter(({ id }) => id > after)
      .sort((one, other) => (one.id < other.id ? -1 : 1))
      .slice(0, limit);
  }

  async assign(wanted: NewAssignment): Promise<Assignment> {
    const { org, policy } = this.#parts;
    const { principal, role } = wanted;
    if (principal.kind === "group" && !groupPattern.test(principal.id)) throw unfitGroup();
    const row = {
      org_id: org,
      principal_kind: principal.kind,
      subject: principal.id,
      role,
      project_id: wanted.project === "" ? "" : parseProjectId(wanted.project),
      domain_id: wanted.domain === "" ? "" : parseDomainId(wanted.domain),
    };
    await policy.change(async (transaction) => {
      if (!(await isRole(transaction, org, role))) throw unknownRole(role);
      const insert = transaction.insertInto("identity_assignments").values(row);
      await insert.onConflict((conflict) => conflict.doNothing()).execute();
    });
    return assignmentOf(row);
  }

  /** In one version of the policy: nobody is without the one before they have the other. */
  async reassign(id: string, changes: AssignmentChanges): Promise<Assignment> {
    const { org, policy, clock } = this.#parts;
    const { role, project, domain } = changes;
    const changed = {
      ...(role === undefined ? {} : { role }),
      ...(project === undefined ? {} : { project_id: project === "" ? "" : parseProjectId(project) }),
      ...(domain === undefined ? {} : { domain_id: domain === "" ? "" : parseDomainId(domain) }),
    };
    return policy.change((transaction) =>
      keepAdministrator({ transaction, org, nowMs: clock.now() }, async () => {
        const row = { ...(await this.#take(transaction, id)), ...changed };
        if (!(await isRole(transaction, org, row.role))) throw unknownRole(row.role);
        const insert = transaction.insertInto("identity_assignments").values(row);
        await insert.onConflict((conflict) => conflict.doNothing()).execute();
        return assignmentOf(row);
      }),
    );
  }

  async unassign(id: string): Promise<void> {
    const { org, policy, clock } = this.#parts;
    await policy.change((transaction) =>
      keepAdministrator({ transaction, org, nowMs: clock.now() }, () => this.#take(transaction, id)),
    );
  }

  async #take(transaction: PolicyTransaction, id: string) {
    const row = (await this.#rows(transaction)).find((one) => assignmentOf(one).id === id);
    if (row === undefined) throw noAssignment();
    await transaction
      .deleteFrom("identity_assignments")
      .where((where) => where.and({ ...row }))
      .execute();
    return row;
  }

  #rows(transaction: PolicyTransaction) {
    return transaction
      .selectFrom("identity_assignments")
      .selectAll()
      .where("org_id", "=", this.#parts.org)
      .execute();
  }

  async #ownRoles(transaction: PolicyTransaction): Promise<Role[]> {
    const rows = await transaction
      .selectFrom("policy_roles")
      .select(["name", "permissions"])
      .where("org_id", "=", this.#parts.org)
      .orderBy("name")
      .execute();
    return rows.map(({ name, permissions: text }) => ({
      name,
      permissions: parsePermissions(text),
      builtIn: false,
    }));
  }
}

const builtInRoles: readonly Role[] = Object.entries(roles).map(([name, permitted]) => ({
  name,
  permissions: [...permitted],
  builtIn: true,
}));

/** A permission of somebody's roles, or the one that was meant. Throws with the names of all. */
export function parsePermission(text: string): Permission {
  const found = decidedByPolicy.find((permission) => permission === text);
  if (found !== undefined) return found;
  const isTasks = (permissions as readonly string[]).includes(text);
  throw new BiplaneError("invalid_argument", {
    what: `There is no permission ${JSON.stringify(text.slice(0, 80))}${isTasks ? " that a role can have" : ""}.`,
    next: `Use these: ${decidedByPolicy.join(", ")}.`,
  });
}

function prepareRole(name: string, wanted: readonly string[]): Role {
  if (isRoleName(name)) throw isBuiltIn(name);
  if (!roleNamePattern.test(name)) {
    throw new BiplaneError("invalid_argument", {
      what: `${JSON.stringify(name.slice(0, 80))} can't be a role's name.`,
      next: "Use 1 to 63 letters, digits, '.', '_' and '-', a letter first.",
    });
  }
  if (wanted.length > policyLimits.permissionsPerRoleMax) {
    throw new BiplaneError("invalid_argument", "The role names too many permissions.");
  }
  const chosen = new Set(wanted.map(parsePermission));
  return { name, permissions: decidedByPolicy.filter((one) => chosen.has(one)), builtIn: false };
}

function isBuiltIn(name: string): BiplaneError {
  return new BiplaneError("failed_precondition", {
    what: `${name} is built in, and means the same in every organization.`,
    next: "Make a role of your own: biplane create role NAME --permission run.read …",
  });
}

function roleExists(name: string): BiplaneError {
  return new BiplaneError("already_exists", {
    what: `There is a role ${name}.`,
    next: `Change it: biplane update role ${name} --permission …`,
  });
}

function noRole(name: string): BiplaneError {
  return new BiplaneError("not_found", {
    what: `There is no role ${JSON.stringify(name.slice(0, 80))} of the organization's own.`,
    next: "List them: biplane get role",
  });
}

function roleInUse(name: string, count: number): BiplaneError {
  return new BiplaneError("failed_precondition", {
    what: `${count} ${count === 1 ? "assignment has" : "assignments have"} the role ${name}.`,
    next: "Delete these first: biplane get assignment, biplane delete assignment ID",
  });
}

function noAssignment(): BiplaneError {
  return new BiplaneError("not_found", {
    what: "There is no such assignment.",
    next: "List them: biplane get assignment",
  });
}

function unfitGroup(): BiplaneError {
  return new BiplaneError("invalid_argument", "A group has 1 to 255 characters, none of them a control.");
}
