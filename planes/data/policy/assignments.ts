/** Who has which role where, read from the database and kept in memory as one versioned bundle. */
import type { OrgId } from "@biplane/base";
import { type Assignment, isRoleName, type PolicyBundle } from "@biplane/identity";
import type { Database } from "@biplane/kit/database";
import type { DataSchema } from "../store/schema.ts";

export class Policy {
  readonly #org: OrgId;
  readonly #database: Database<DataSchema>;
  #bundle: PolicyBundle;

  constructor(org: OrgId, database: Database<DataSchema>) {
    this.#org = org;
    this.#database = database;
    this.#bundle = { org, version: 0, assignments: [] };
  }

  get bundle(): PolicyBundle {
    return this.#bundle;
  }

  /** Call after every change of assignments. */
  async reload(): Promise<void> {
    const rows = await this.#database.asOrg(this.#org, (transaction) =>
      transaction.selectFrom("identity_assignments").selectAll().where("org_id", "=", this.#org).execute(),
    );
    const assignments: Assignment[] = [];
    for (const row of rows) {
      // A role that this version does not know grants nothing.
      if (!isRoleName(row.role)) continue;
      const scope = {
        ...(row.project_id === "" ? {} : { project: row.project_id }),
        ...(row.domain_id === "" ? {} : { domain: row.domain_id }),
      };
      assignments.push({ subject: row.subject, role: row.role, scope });
    }
    this.#bundle = { org: this.#org, version: this.#bundle.version + 1, assignments };
  }
}
