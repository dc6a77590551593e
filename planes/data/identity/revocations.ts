/** Grants whose access tokens no longer work though they are in date: JWTs can't be taken back, so they are denied. */
import { limits, type OrgId } from "@biplane/base";
import type { Clock } from "@biplane/kit/clock";
import type { Database } from "@biplane/kit/database";
import type { DataSchema } from "../store/schema.ts";
import type { Sealing } from "./sealing.ts";

export class Revocations {
  readonly #org: OrgId;
  readonly #database: Database<DataSchema>;
  readonly #sealing: Sealing;
  readonly #clock: Clock;
  readonly #denied = new Set<string>();

  constructor(org: OrgId, database: Database<DataSchema>, sealing: Sealing, clock: Clock) {
    this.#org = org;
    this.#database = database;
    this.#sealing = sealing;
    this.#clock = clock;
  }

  /** Brings the list into memory, and forgets grants whose last token has expired. */
  async load(): Promise<void> {
    const now = this.#clock.now();
    const rows = await this.#database.asOrg(this.#org, async (transaction) => {
      const table = transaction.deleteFrom("identity_revocations").where("org_id", "=", this.#org);
      await table.where("expires_at_ms", "<", now).execute();
      return transaction
        .selectFrom("identity_revocations")
        .select("grant_hash")
        .where("org_id", "=", this.#org)
        .execute();
    });
    for (const row of rows) this.#denied.add(row.grant_hash);
  }

  /** What a token says instead of its grant's id, which is a secret of the provider. */
  nameOf(grantId: string): string {
    return this.#sealing.hash("grant", grantId);
  }

  isRevoked(grantName: string): boolean {
    return this.#denied.has(grantName);
  }

  async revoke(grantId: string): Promise<void> {
    const grantHash = this.nameOf(grantId);
    await this.#database.asOrg(this.#org, (transaction) =>
      transaction
        .insertInto("identity_revocations")
        .values({
          org_id: this.#org,
          grant_hash: grantHash,
          expires_at_ms: this.#clock.now() + 2 * limits.accessTokenMs,
        })
        .onConflict((conflict) => conflict.doNothing())
        .execute(),
    );
    this.#denied.add(grantHash);
  }
}
