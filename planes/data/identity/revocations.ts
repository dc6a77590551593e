/** Takes grants back: JWTs that were issued under one are in date for a while, so the policy's deny list names it. */
import { limits, type OrgId, second } from "@biplane/base";
import type { Denial } from "@biplane/identity";
import type { Clock } from "@biplane/kit/clock";
import type { Policy, PolicyTransaction } from "../policy/policy.ts";
import type { Sealing } from "./sealing.ts";

export class Revocations {
  readonly #org: OrgId;
  readonly #policy: Pick<Policy, "change">;
  readonly #sealing: Sealing;
  readonly #clock: Clock;

  constructor(org: OrgId, policy: Pick<Policy, "change">, sealing: Sealing, clock: Clock) {
    this.#org = org;
    this.#policy = policy;
    this.#sealing = sealing;
    this.#clock = clock;
  }

  /** What a token says instead of its grant's id, which is a secret of the provider. */
  nameOf(grantId: string): string {
    return this.#sealing.hash("grant", grantId);
  }

  /** Resolves when no router of this cluster takes the grant's tokens any more. */
  async revoke(grantId: string): Promise<void> {
    const now = this.#clock.now();
    const expires_at_ms = now + 2 * limits.accessTokenMs;
    await this.#policy.change(async (transaction) => {
      await transaction
        .deleteFrom("identity_revocations")
        .where("org_id", "=", this.#org)
        .where("expires_at_ms", "<", now)
        .execute();
      await transaction
        .insertInto("identity_revocations")
        .values({ org_id: this.#org, grant_hash: this.nameOf(grantId), expires_at_ms })
        .onConflict((conflict) => conflict.doNothing())
        .execute();
    });
  }
}

/** For the policy bundle: every grant that was taken back and whose last token may still be in date. */
export async function readDenials(transaction: PolicyTransaction, org: OrgId): Promise<Denial[]> {
  const rows = await transaction
    .selectFrom("identity_revocations")
    .selectAll()
    .where("org_id", "=", org)
    .orderBy("grant_hash")
    .execute();
  return rows.map(({ grant_hash, expires_at_ms }) => {
    const until = Math.ceil(Number(expires_at_ms) / second);
    return { kind: "grant", id: grant_hash, issuedUntil: until, until };
  });
}
