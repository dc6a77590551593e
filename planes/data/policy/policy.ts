/**
 * The organization's policy in this cluster: what the router decides by. At home it is made of the database's roles,
 * assignments and denials, signed, and told to everyone; elsewhere it is the newest bundle that came over the link.
 */
import { createHash } from "node:crypto";
import { BiplaneError, type OrgId } from "@biplane/base";
import {
  type Assignment,
  bundleOf,
  type CustomRole,
  type Denial,
  type PolicyBundle,
  type PolicyContent,
  policyContent,
  type SignedContent,
} from "@biplane/identity";
import type { Database } from "@biplane/kit/database";
import type { Selectable, Transaction } from "kysely";
import { z } from "zod";
import { notHome } from "../clusters/not-home.ts";
import type { Documents } from "../documents/documents.ts";
import type { AssignmentTable } from "../store/identity.ts";
import type { DataSchema } from "../store/schema.ts";

export type PolicyTransaction = Transaction<DataSchema>;

/** What the decision point asks. */
export interface CurrentPolicy {
  /** Undefined where none is in date: nothing may be decided by an old one (claim IAM-3). */
  readonly bundle: PolicyBundle | undefined;
}

export interface WatchedPolicy extends CurrentPolicy {
  /** Told whenever another bundle decides, or none any more. Returns how to stop that. */
  onChange(listener: () => void): () => void;
}

export interface PolicyOptions {
  readonly org: OrgId;
  readonly database: Database<DataSchema>;
  readonly documents: Documents;
  /** Tokens that no longer work though they are in date. */
  readonly denials: (transaction: PolicyTransaction) => Promise<Denial[]>;
}

export class Policy implements WatchedPolicy {
  readonly #options: PolicyOptions;
  #bundle: { readonly of: SignedContent<PolicyContent>; readonly bundle: PolicyBundle } | undefined;
  #changing: Promise<unknown> = Promise.resolve();

  constructor(options: PolicyOptions) {
    this.#options = options;
  }

  get bundle(): PolicyBundle | undefined {
    const document = this.#options.documents.current("policy");
    if (document === undefined) return undefined;
    if (this.#bundle?.of !== document) {
      this.#bundle = { of: document, bundle: bundleOf(document, this.#bundle?.bundle) };
    }
    return this.#bundle.bundle;
  }

  onChange(listener: () => void): () => void {
    let before = this.bundle;
    return this.#options.documents.onCurrent("policy", () => {
      const { bundle } = this;
      if (bundle === before) return;
      before = bundle;
      listener();
    });
  }

  /**
   * Changes roles, assignments or denials: `work` and the signed bundle that says so are one transaction. Resolves when
   * this cluster decides by it and the link was told. Throws `failed_precondition` outside of the home cluster.
   */
  change<T>(work: (transaction: PolicyTransaction) => Promise<T>): Promise<T> {
    const changed = this.#changing.then(() => this.#change(work));
    this.#changing = changed.catch(() => {});
    return changed;
  }

  /** At home: signs what the database has, for instance after its first administrator was added. */
  async reload(): Promise<void> {
    if (this.#options.documents.isHome) await this.change(async () => {});
  }

  async #change<T>(work: (transaction: PolicyTransaction) => Promise<T>): Promise<T> {
    const { org, database, documents } = this.#options;
    if (!documents.isHome) {
      throw notHome("The policy can't be changed in this cluster.", documents);
    }
    const { result, issued } = await database.asOrg(org, async (transaction) => {
      const result = await work(transaction);
      const content = await this.#readContent(transaction);
      return { result, issued: await documents.issue(transaction, "policy", content) };
    });
    issued.announce();
    return result;
  }

  async #readContent(transaction: PolicyTransaction): Promise<PolicyContent> {
    const { org, denials } = this.#options;
    const roles = await transaction
      .selectFrom("policy_roles")
      .selectAll()
      .where("org_id", "=", org)
      .orderBy("name")
      .execute();
    const assignments = await this.#effective(transaction);
    const content = {
      roles: roles.map(({ name, permissions }) => ({ name, permissions: parsePermissions(permissions) })),
      assignments: assignments.map(assignmentOf).sort((a, b) => (a.id < b.id ? -1 : 1)),
      denied: await denials(transaction),
    };
    const parsed = policyContent.safeParse(content);
    if (parsed.success) return parsed.data;
    throw unfit(z.prettifyError(parsed.error));
  }

  /**
   * Those of people who were kept out, and of keys whose owner was, wait in the database: a task that goes on in such a
   * name is refused for as long as that lasts, not only while its tokens are denied.
   */
  #effective(transaction: PolicyTransaction) {
    return transaction
      .selectFrom("identity_assignments as held")
      .leftJoin("identity_subjects as who", (join) =>
        join
          .onRef("who.org_id", "=", "held.org_id")
          .onRef("who.subject", "=", "held.subject")
          .on("held.principal_kind", "=", "subject"),
      )
      .leftJoin("identity_subjects as owner", (join) =>
        join.onRef("owner.org_id", "=", "who.org_id").onRef("owner.subject", "=", "who.owner"),
      )
      .selectAll("held")
      .where("held.org_id", "=", this.#options.org)
      .where("who.disabled_at_ms", "is", null)
      .where("owner.disabled_at_ms", "is", null)
      .execute();
  }
}

/** Same principal, role and scope, same id. */
export function assignmentOf(row: Omit<Selectable<AssignmentTable>, "org_id">): Assignment {
  const { principal_kind: kind, subject, role, project_id, domain_id } = row;
  const key = JSON.stringify([kind, subject, role, project_id, domain_id]);
  return {
    id: `a-${createHash("sha256").update(key).digest("hex").slice(0, 20)}`,
    principal: { kind, id: subject },
    role,
    scope: {
      ...(project_id === "" ? {} : { project: project_id }),
      ...(domain_id === "" ? {} : { domain: domain_id }),
    },
  };
}

export function parsePermissions(text: string): CustomRole["permissions"] {
  return z.array(z.string()).parse(JSON.parse(text));
}

function unfit(why: string): BiplaneError {
  return new BiplaneError(
    "resource_exhausted",
    {
      what: "The policy would not be one that every cluster takes.",
      why,
      next: "Remove what is not needed.",
    },
    { reason: "policy_unfit" },
  );
}
