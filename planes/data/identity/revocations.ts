/**
 * Whose access tokens no longer work though they are in date: JWTs can't be taken back, so they are denied by subject,
 * by grant, or one by one. Kept in the database, decided from memory.
 */
import { limits, type OrgId, second } from "@biplane/base";
import type { DeniableToken, Denial as SignedDenial } from "@biplane/identity";
import { sleep } from "@biplane/kit/backoff";
import type { Clock } from "@biplane/kit/clock";
import type { Database } from "@biplane/kit/database";
import type { Transaction } from "kysely";
import type { DenialKind } from "../store/people.ts";
import type { DataSchema } from "../store/schema.ts";
import type { Sealing } from "./sealing.ts";

export interface Denial {
  readonly kind: DenialKind;
  readonly name: string;
  /** Seconds since 1970: tokens issued up to then are denied, later ones are not. */
  readonly issuedUntilSeconds: number;
  /** When the last token that it denies has expired. */
  readonly expiresAtMs: number;
}

const always = Number.MAX_SAFE_INTEGER;
const table = "identity_denials";

export class Revocations {
  readonly #org: OrgId;
  readonly #database: Database<DataSchema>;
  readonly #sealing: Sealing;
  readonly #clock: Clock;
  readonly #denials = new Map<string, Denial>();
  readonly #listeners = new Set<() => void>();

  constructor(org: OrgId, database: Database<DataSchema>, sealing: Sealing, clock: Clock) {
    this.#org = org;
    this.#database = database;
    this.#sealing = sealing;
    this.#clock = clock;
  }

  /** Brings the list into memory, and forgets what no token in date can match. */
  async load(): Promise<void> {
    const rows = await this.#database.asOrg(this.#org, async (transaction) => {
      await transaction
        .deleteFrom(table)
        .where("org_id", "=", this.#org)
        .where("expires_at_ms", "<", this.#clock.now())
        .execute();
      return transaction.selectFrom(table).selectAll().where("org_id", "=", this.#org).execute();
    });
    for (const row of rows) {
      this.#keep({
        kind: row.kind,
        name: row.name,
        issuedUntilSeconds: Number(row.issued_until_seconds),
        expiresAtMs: Number(row.expires_at_ms),
      });
    }
  }

  /** What a token says instead of its grant's id, which is a secret of the provider. */
  nameOf(grantId: string): string {
    return this.#sealing.hash("grant", grantId);
  }

  /** Called after each change. */
  onChange(listener: () => void): void {
    this.#listeners.add(listener);
  }

  isDenied(token: DeniableToken): boolean {
    return (
      this.#matches("subject", token.subject, token) ||
      this.#matches("token", token.tokenId, token) ||
      (token.grant !== undefined && this.#matches("grant", token.grant, token))
    );
  }

  /** A token that is issued in the very second up to which its subject's are denied would be denied with them. */
  async pastDenialOf(subject: string): Promise<void> {
    const denial = this.#denials.get(`subject:${subject}`);
    if (denial === undefined) return;
    const waitMs = (denial.issuedUntilSeconds + 1) * second - this.#clock.now();
    // Who may not come back is denied for longer, and is refused elsewhere.
    if (waitMs > 0 && waitMs <= second) await sleep(waitMs);
  }

  async revokeGrant(grantId: string): Promise<void> {
    const denial = this.#denial("grant", this.nameOf(grantId), always);
    await this.#database.asOrg(this.#org, (transaction) => this.write(transaction, denial));
    this.apply([denial]);
  }

  /**
   * All tokens of the subject so far; with `andNext` also those that are being issued at this moment, for subjects who
   * may not come back. To be written with what it belongs to, and applied once that is committed.
   */
  ofSubject(subject: string, andNext: boolean): Denial {
    const untilMs = this.#clock.now() + (andNext ? limits.accessTokenMs : 0);
    return this.#denial("subject", subject, Math.floor(untilMs / second));
  }

  async write(transaction: Transaction<DataSchema>, denial: Denial): Promise<void> {
    const values = {
      issued_until_seconds: denial.issuedUntilSeconds,
      expires_at_ms: denial.expiresAtMs,
    };
    await transaction
      .insertInto(table)
      .values({ org_id: this.#org, kind: denial.kind, name: denial.name, ...values })
      .onConflict((conflict) => conflict.columns(["org_id", "kind", "name"]).doUpdateSet(values))
      .execute();
  }

  /** From now on these count. */
  apply(denials: readonly Denial[]): void {
    const now = this.#clock.now();
    for (const [key, { expiresAtMs }] of this.#denials) if (expiresAtMs <= now) this.#denials.delete(key);
    for (const denial of denials) this.#keep(denial);
    for (const listener of this.#listeners) listener();
  }

  #denial(kind: DenialKind, name: string, issuedUntilSeconds: number): Denial {
    // Twice the lifetime covers tokens that are being issued now, and clocks that differ.
    return { kind, name, issuedUntilSeconds, expiresAtMs: this.#clock.now() + 2 * limits.accessTokenMs };
  }

  #keep(denial: Denial): void {
    this.#denials.set(`${denial.kind}:${denial.name}`, denial);
  }

  #matches(kind: DenialKind, name: string, { issuedAt }: DeniableToken): boolean {
    const denial = this.#denials.get(`${kind}:${name}`);
    return denial !== undefined && issuedAt <= denial.issuedUntilSeconds;
  }
}

/** For the policy bundle: everything that is denied and whose last token may still be in date. */
export async function readDenials(transaction: Transaction<DataSchema>, org: OrgId): Promise<SignedDenial[]> {
  const rows = await transaction
    .selectFrom(table)
    .selectAll()
    .where("org_id", "=", org)
    .orderBy("kind")
    .orderBy("name")
    .execute();
  const listed = rows.map(({ kind, name, issued_until_seconds, expires_at_ms }): SignedDenial => {
    const until = Math.ceil(Number(expires_at_ms) / second);
    return { kind, id: name, issuedUntil: Math.min(Number(issued_until_seconds), until), until };
  });
  const known = new Set(listed.flatMap(({ kind, id }) => (kind === "subject" ? [id] : [])));
  const out = (await readKeptOut(transaction, org)).filter(({ id }) => !known.has(id));
  return [...listed, ...out];
}

/** Of people who are kept out, and of their programs: what goes on in their name ends for as long as that lasts. */
async function readKeptOut(transaction: Transaction<DataSchema>, org: OrgId): Promise<SignedDenial[]> {
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
    return { kind: "subject", id: subject, issuedUntil: until, until };
  });
}
