/**
 * Which groups people were in when this cluster last saw a token of theirs: what their tasks do, they do with these
 * rights too (claim IAM-4). On disk before the request goes on, since a run may outlive the process.
 */
import type { OrgId } from "@biplane/base";
import type { Database } from "@biplane/kit/database";
import type { DataSchema } from "../store/schema.ts";
import type { Sealing } from "./sealing.ts";

interface Seen {
  readonly groups: readonly string[];
  /** Of the token, in seconds: an older one that is shown later says nothing new. */
  readonly issuedAt: number;
}

const table = "subject_groups";

export class SubjectGroups {
  readonly #org: OrgId;
  readonly #database: Database<DataSchema>;
  readonly #sealing: Sealing;
  readonly #seen = new Map<string, Seen>();

  constructor(org: OrgId, database: Database<DataSchema>, sealing: Sealing) {
    this.#org = org;
    this.#database = database;
    this.#sealing = sealing;
  }

  async load(): Promise<void> {
    const rows = await this.#database.asOrg(this.#org, (transaction) =>
      transaction.selectFrom(table).selectAll().where("org_id", "=", this.#org).execute(),
    );
    for (const { subject, groups, issued_at_seconds } of rows) {
      const opened = this.#sealing.open<readonly string[]>(table, "groups", subject, groups);
      this.#seen.set(subject, { groups: opened, issuedAt: Number(issued_at_seconds) });
    }
  }

  of(subject: string): readonly string[] {
    return this.#seen.get(subject)?.groups ?? [];
  }

  async note(subject: string, groups: readonly string[], issuedAt: number): Promise<void> {
    const known = this.#seen.get(subject);
    if (known === undefined ? groups.length === 0 : known.issuedAt >= issuedAt) return;
    const isSame = JSON.stringify(known?.groups) === JSON.stringify(groups);
    if (!isSame) await this.#write(subject, groups, issuedAt);
    this.#seen.set(subject, { groups, issuedAt });
  }

  async #write(subject: string, groups: readonly string[], issuedAt: number): Promise<void> {
    const values = {
      groups: this.#sealing.seal(table, "groups", subject, groups),
      issued_at_seconds: issuedAt,
    };
    await this.#database.asOrg(this.#org, (transaction) =>
      transaction
        .insertInto(table)
        .values({ org_id: this.#org, subject, ...values })
        .onConflict((conflict) => conflict.columns(["org_id", "subject"]).doUpdateSet(values))
        .execute(),
    );
  }
}
