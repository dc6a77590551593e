/**
 * Whose access tokens no longer work though they are in date: JWTs can't be taken back, so they are denied by subject,
 * by grant, or one by one. A denial is written in the transaction that signs the policy which says so, and everybody
 * decides by that policy, this cluster included.
 */
import { day, limits, type OrgId, second } from "@biplane/base";
import { deniedForGood, deniedUntil, policyLimits, type Denial as SignedDenial } from "@biplane/identity";
import { sleep } from "@biplane/kit/backoff";
import type { Clock } from "@biplane/kit/clock";
import type { Policy, PolicyTransaction } from "../policy/policy.ts";
import type { DenialKind } from "../store/people.ts";
import type { Sealing } from "./sealing.ts";

const table = "identity_denials";
/** Twice the lifetime covers tokens that are being issued now, and clocks that differ. */
const tokensMs = 2 * limits.accessTokenMs;
/** Of whoever is disabled the list knows as long as that lasts; runs of the deleted go on for less than this. */
const keptOutMs = 30 * day;

export class Revocations {
  readonly #org: OrgId;
  readonly #policy: Policy;
  readonly #sealing: Sealing;
  readonly #clock: Clock;

  constructor(org: OrgId, policy: Policy, sealing: Sealing, clock: Clock) {
    this.#org = org;
    this.#policy = policy;
    this.#sealing = sealing;
    this.#clock = clock;
  }

  /** What a token says instead of its grant's id, which is a secret of the provider. */
  nameOf(grantId: string): string {
    return this.#sealing.hash("grant", grantId);
  }

  /** A token that is issued in the very second up to which its subject's are denied would be denied with them. */
  async pastDenialOf(subject: string): Promise<void> {
    const { bundle } = this.#policy;
    const until = bundle === undefined ? undefined : deniedUntil(bundle, "subject", subject);
    if (until === undefined) return;
    const waitMs = (until + 1) * second - this.#clock.now();
    // Who may not come back is denied for longer, and is refused elsewhere.
    if (waitMs > 0 && waitMs <= second) await sleep(waitMs);
  }

  /** Whatever tokens the grant has, and will have. To be called in a change of the policy, as all denials are. */
  denyGrant(transaction: PolicyTransaction, grantId: string): Promise<void> {
    return this.#write(transaction, { kind: "grant", name: this.nameOf(grantId) }, deniedForGood, tokensMs);
  }

  /** All tokens of the subject so far; whoever signs in again gets others. */
  endTokens(transaction: PolicyTransaction, subject: string): Promise<void> {
    const untilSeconds = Math.floor(this.#clock.now() / second);
    return this.#write(transaction, { kind: "subject", name: subject }, untilSeconds, tokensMs);
  }

  /** Also tokens that are being issued at this moment, and what tasks do in the subject's name. */
  keepOut(transaction: PolicyTransaction, subject: string): Promise<void> {
    return this.#write(transaction, { kind: "subject", name: subject }, deniedForGood, keptOutMs);
  }

  async #write(
    transaction: PolicyTransaction,
    { kind, name }: { kind: DenialKind; name: string },
    issuedUntilSeconds: number,
    lastsMs: number,
  ): Promise<void> {
    const expiresAtMs = this.#clock.now() + lastsMs;
    const values = { issued_until_seconds: issuedUntilSeconds, expires_at_ms: expiresAtMs };
    await transaction
      .insertInto(table)
      .values({ org_id: this.#org, kind, name, ...values })
      .onConflict((conflict) => conflict.columns(["org_id", "kind", "name"]).doUpdateSet(values))
      .execute();
  }
}

/**
 * For the policy bundle: everything that is denied and whose last token may still be in date. The rest is forgotten. Where
 * there are too many, sign-ins that ended longest ago make room: whoever ends very many keeps nobody from being denied.
 */
export async function readDenials(
  transaction: PolicyTransaction,
  org: OrgId,
  nowMs: number,
): Promise<SignedDenial[]> {
  const past = transaction.deleteFrom(table).where("org_id", "=", org).where("expires_at_ms", "<", nowMs);
  await past.execute();
  const rows = await transaction.selectFrom(table).selectAll().where("org_id", "=", org).execute();
  const listed = rows.map(({ kind, name, issued_until_seconds, expires_at_ms }): SignedDenial => {
    const until = Math.ceil(Number(expires_at_ms) / second);
    return { kind, id: name, issuedUntil: Number(issued_until_seconds), until };
  });
  const keptOut = await readKeptOut(transaction, org);
  const known = new Set(keptOut.map(({ id }) => id));
  const subjects = listed.filter(({ kind, id }) => kind === "subject" && !known.has(id));
  const others = listed.filter(({ kind }) => kind !== "subject").sort((a, b) => b.until - a.until);
  const room = Math.max(0, policyLimits.deniedMax - subjects.length - keptOut.length);
  const all = [...subjects, ...keptOut, ...others.slice(0, room)];
  return all.sort((a, b) => (`${a.kind} ${a.id}` < `${b.kind} ${b.id}` ? -1 : 1));
}

/** Of people who are kept out, and of their programs: what goes on in their name ends for as long as that lasts. */
async function readKeptOut(transaction: PolicyTransaction, org: OrgId): Promise<SignedDenial[]> {
  const rows = await transaction
    .selectFrom("identity_subjects as who")
    .leftJoin("identity_subjects as owner", (join) =>
      join.onRef("owner.org_id", "=", "who.org_id").onRef("owner.subject", "=", "who.owner"),
    )
    .select(["who.subject", "who.disabled_at_ms as own", "owner.disabled_at_ms as owners"])
    .where("who.org_id", "=", org)
    .where((where) =>
      where.or([where("who.disabled_at_ms", "is not", null), where("owner.disabled_at_ms", "is not", null)]),
    )
    .orderBy("who.subject")
    .execute();
  return rows.map(({ subject, own, owners }) => {
    const until = Math.ceil((Number(own ?? owners) + limits.accessTokenMs) / second);
    return { kind: "subject", id: subject, issuedUntil: deniedForGood, until };
  });
}
