/** People and programs of the organization as rows: who they are, how they prove it, whether they may. */
import { randomBytes } from "node:crypto";
import type { OrgId, Secret } from "@biplane/base";
import type { Clock } from "@biplane/kit/clock";
import type { Database } from "@biplane/kit/database";
import type { Selectable, Transaction } from "kysely";
import { isRole } from "../policy/roles.ts";
import type { SubjectTable } from "../store/identity.ts";
import type { DataSchema } from "../store/schema.ts";
import { type Credential, hashPassword, verifyCredential } from "./passwords.ts";
import type { Sealing } from "./sealing.ts";
import type { NewSubject, Subject, SubjectProfile } from "./subject.ts";
import { passwordCharactersMax, unknownRole } from "./subject-rules.ts";

/** Where a role holds; everywhere where nothing is given. */
export interface RoleGrant {
  readonly role: string;
  readonly project?: string;
  readonly domain?: string;
}

export type DirectoryTransaction = Transaction<DataSchema>;
type Row = Selectable<SubjectTable>;
const table = "identity_subjects";

export class Directory {
  readonly #org: OrgId;
  readonly #database: Database<DataSchema>;
  readonly #sealing: Sealing;
  readonly #clock: Clock;

  constructor(org: OrgId, database: Database<DataSchema>, sealing: Sealing, clock: Clock) {
    this.#org = org;
    this.#database = database;
    this.#sealing = sealing;
    this.#clock = clock;
  }

  run<T>(work: (transaction: DirectoryTransaction) => Promise<T>): Promise<T> {
    return this.#database.asOrg(this.#org, work);
  }

  async add(transaction: DirectoryTransaction, subject: NewSubject, grant?: RoleGrant): Promise<void> {
    const { email } = subject.profile;
    await transaction
      .insertInto(table)
      .values({
        org_id: this.#org,
        subject: subject.subject,
        kind: subject.kind,
        // A federated person is known by issuer and subject; their address is only shown.
        login_hash: email === undefined || subject.federatedHash !== undefined ? null : this.loginHash(email),
        created_at_ms: subject.createdAtMs,
        disabled_at_ms: null,
        expires_at_ms: subject.expiresAtMs ?? null,
        last_used_at_ms: null,
        owner: subject.owner ?? null,
        federated_hash: subject.federatedHash ?? null,
        ...this.#sealed(subject),
      })
      .execute();
    if (grant !== undefined) await this.#assign(transaction, subject.subject, grant);
  }

  async update(transaction: DirectoryTransaction, subject: Subject): Promise<void> {
    await transaction
      .updateTable(table)
      .set({ disabled_at_ms: subject.disabledAtMs ?? null, ...this.#sealed(subject) })
      .where("org_id", "=", this.#org)
      .where("subject", "=", subject.subject)
      .execute();
  }

  /** The subject, its roles and invitations. */
  async remove(transaction: DirectoryTransaction, subject: string): Promise<void> {
    const tables = [
      "identity_subjects",
      "identity_assignments",
      "identity_claims",
      "subject_groups",
    ] as const;
    for (const name of tables) {
      await transaction
        .deleteFrom(name)
        .where("org_id", "=", this.#org)
        .where("subject", "=", subject)
        .execute();
    }
  }

  find(subject: string): Promise<Subject | undefined> {
    return this.run((transaction) => this.findBy(transaction, "subject", subject));
  }

  /** The subject if it may act: neither disabled nor expired, and its owner, if it has one, may act too. */
  async findActive(subject: string): Promise<Subject | undefined> {
    const found = await this.find(subject);
    if (found === undefined || !this.#isActive(found)) return undefined;
    if (found.owner === undefined) return found;
    const owner = await this.find(found.owner);
    return owner !== undefined && this.#isActive(owner) ? found : undefined;
  }

  /** The person, or undefined for a wrong name or password; both take the same time. */
  async signIn(email: string, password: Secret<string>): Promise<Subject | undefined> {
    const found = await this.run((transaction) =>
      this.findBy(transaction, "login_hash", this.loginHash(email)),
    );
    const hasPassword = found !== undefined && found.credential.scheme !== "none";
    const credential = hasPassword ? found.credential : await decoy();
    const right = await verifyCredential(credential, password.reveal().slice(0, passwordCharactersMax));
    return right && hasPassword && found.kind === "user" && this.#isActive(found) ? found : undefined;
  }

  async findBy(
    transaction: DirectoryTransaction,
    column: "subject" | "login_hash" | "federated_hash",
    value: string,
  ): Promise<Subject | undefined> {
    const row = await transaction
      .selectFrom(table)
      .selectAll()
      .where("org_id", "=", this.#org)
      .where(column, "=", value)
      .executeTakeFirst();
    return row === undefined ? undefined : this.#subjectOf(row);
  }

  /** Subjects of one kind by their id, which comes in no order that says anything. */
  async page(kind: Subject["kind"], after: string, limit: number): Promise<readonly Subject[]> {
    const rows = await this.run((transaction) =>
      transaction
        .selectFrom(table)
        .selectAll()
        .where("org_id", "=", this.#org)
        .where("kind", "=", kind)
        .where("subject", ">", after)
        .orderBy("subject")
        .limit(limit)
        .execute(),
    );
    return rows.map((row) => this.#subjectOf(row));
  }

  async ownedBy(transaction: DirectoryTransaction, owner: string): Promise<readonly string[]> {
    const rows = await transaction
      .selectFrom(table)
      .select("subject")
      .where("org_id", "=", this.#org)
      .where("owner", "=", owner)
      .execute();
    return rows.map(({ subject }) => subject);
  }

  async noteUse(uses: ReadonlyMap<string, number>): Promise<void> {
    await this.run(async (transaction) => {
      for (const [subject, atMs] of uses) {
        await transaction
          .updateTable(table)
          .set({ last_used_at_ms: atMs })
          .where("org_id", "=", this.#org)
          .where("subject", "=", subject)
          .execute();
      }
    });
  }

  loginHash(email: string): string {
    return this.#sealing.hash("login", email.trim().toLowerCase());
  }

  /** Never by e-mail: whoever controls an address at one provider need not be who has it at another. */
  federatedHash(issuer: string, subject: string): string {
    return this.#sealing.hash("federated", JSON.stringify([issuer, subject]));
  }

  async #assign(transaction: DirectoryTransaction, subject: string, grant: RoleGrant): Promise<void> {
    if (!(await isRole(transaction, this.#org, grant.role))) throw unknownRole(grant.role);
    const scope = { project_id: grant.project ?? "", domain_id: grant.domain ?? "" };
    await transaction
      .insertInto("identity_assignments")
      .values({ org_id: this.#org, subject, role: grant.role, ...scope })
      .execute();
  }

  #isActive({ disabledAtMs, expiresAtMs }: Subject): boolean {
    return disabledAtMs === undefined && (expiresAtMs === undefined || expiresAtMs > this.#clock.now());
  }

  #sealed({ subject, profile, credential }: Pick<Subject, "subject" | "profile" | "credential">) {
    return {
      profile: this.#sealing.seal(table, "profile", subject, profile),
      credential: this.#sealing.seal(table, "credential", subject, credential),
    };
  }

  #subjectOf(row: Row): Subject {
    return {
      subject: row.subject,
      kind: row.kind,
      profile: this.#sealing.open<SubjectProfile>(table, "profile", row.subject, row.profile),
      credential: this.#sealing.open<Credential>(table, "credential", row.subject, row.credential),
      createdAtMs: Number(row.created_at_ms),
      disabledAtMs: numberOf(row.disabled_at_ms),
      expiresAtMs: numberOf(row.expires_at_ms),
      lastUsedAtMs: numberOf(row.last_used_at_ms),
      owner: row.owner ?? undefined,
      isFederated: row.federated_hash !== null,
    };
  }
}

function numberOf(value: number | string | bigint | null): number | undefined {
  return value === null ? undefined : Number(value);
}

/** Checked in place of a person who does not exist, so that the time taken tells nobody which names exist. */
let decoyCredential: Promise<Credential> | undefined;
function decoy(): Promise<Credential> {
  decoyCredential ??= hashPassword(randomBytes(16).toString("hex"));
  return decoyCredential;
}
