/** People and programs of the organization: who they are and how they prove it. */
import { randomBytes } from "node:crypto";
import { BiplaneError, type OrgId, Secret } from "@biplane/base";
import type { RoleName } from "@biplane/identity";
import type { Clock } from "@biplane/kit/clock";
import type { Database } from "@biplane/kit/database";
import type { Transaction } from "kysely";
import type { DataSchema } from "../store/schema.ts";
import { type Credential, hashPassword, hashSecret, verifyCredential } from "./passwords.ts";
import type { Sealing } from "./sealing.ts";

export interface SubjectProfile {
  readonly name: string;
  readonly email?: string;
}

export interface Subject {
  readonly subject: string;
  readonly kind: "user" | "service";
  readonly profile: SubjectProfile;
  readonly credential: Credential;
}

export interface NewPerson {
  readonly email: string;
  readonly name: string;
  readonly password: Secret<string>;
}

export interface NewClient {
  readonly clientId: string;
  readonly clientSecret: Secret<string>;
}

export const passwordCharactersMin = 12;
const passwordCharactersMax = 1_024;
const table = "identity_subjects";

export type DirectoryTransaction = Transaction<DataSchema>;

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

  /** Checks what can be checked before any slow hashing, then hashes. */
  async preparePerson(person: NewPerson): Promise<Subject> {
    const characters = person.password.reveal().length;
    if (!/^[^\s@]+@[^\s@]+$/.test(person.email) || person.email.length > 254) {
      throw invalid("The e-mail address can't be used to sign in.", "It has to look like name@host.");
    }
    if (characters < passwordCharactersMin || characters > passwordCharactersMax) {
      throw invalid(
        "The password can't be used.",
        `It has to have ${passwordCharactersMin} to ${passwordCharactersMax} characters.`,
      );
    }
    return {
      subject: `user-${randomBytes(10).toString("hex")}`,
      kind: "user",
      profile: { name: person.name.slice(0, 255) || person.email, email: person.email },
      credential: await hashPassword(person.password.reveal()),
    };
  }

  prepareClient(name: string): { subject: Subject; client: NewClient } {
    const clientId = `svc-${randomBytes(10).toString("hex")}`;
    const clientSecret = new Secret(randomBytes(32).toString("base64url"));
    const credential = hashSecret(clientSecret.reveal());
    const subject: Subject = {
      subject: clientId,
      kind: "service",
      profile: { name: name.slice(0, 255) },
      credential,
    };
    return { subject, client: { clientId, clientSecret } };
  }

  async add(transaction: DirectoryTransaction, subject: Subject, role: RoleName): Promise<void> {
    const { email } = subject.profile;
    await transaction
      .insertInto("identity_subjects")
      .values({
        org_id: this.#org,
        subject: subject.subject,
        kind: subject.kind,
        login_hash: email === undefined ? null : this.#loginHash(email),
        profile: this.#sealing.seal(table, "profile", subject.subject, subject.profile),
        credential: this.#sealing.seal(table, "credential", subject.subject, subject.credential),
        created_at_ms: this.#clock.now(),
      })
      .execute();
    await transaction
      .insertInto("identity_assignments")
      .values({ org_id: this.#org, subject: subject.subject, role, project_id: "", domain_id: "" })
      .execute();
  }

  find(subject: string): Promise<Subject | undefined> {
    return this.#findBy("subject", subject);
  }

  /** The person, or undefined for a wrong name or password; both take the same time. */
  async signIn(email: string, password: Secret<string>): Promise<Subject | undefined> {
    const found = await this.#findBy("login_hash", this.#loginHash(email));
    const credential = found?.credential ?? (await decoy());
    const right = await verifyCredential(credential, password.reveal().slice(0, passwordCharactersMax));
    return right && found?.kind === "user" ? found : undefined;
  }

  async #findBy(column: "subject" | "login_hash", value: string): Promise<Subject | undefined> {
    const row = await this.#database.asOrg(this.#org, (transaction) =>
      transaction
        .selectFrom("identity_subjects")
        .selectAll()
        .where("org_id", "=", this.#org)
        .where(column, "=", value)
        .executeTakeFirst(),
    );
    if (row === undefined) return undefined;
    return {
      subject: row.subject,
      kind: row.kind,
      profile: this.#sealing.open<SubjectProfile>(table, "profile", row.subject, row.profile),
      credential: this.#sealing.open<Credential>(table, "credential", row.subject, row.credential),
    };
  }

  #loginHash(email: string): string {
    return this.#sealing.hash("login", email.trim().toLowerCase());
  }
}

/** Checked in place of a person who does not exist, so that the time taken tells nobody which names exist. */
let decoyCredential: Promise<Credential> | undefined;
function decoy(): Promise<Credential> {
  decoyCredential ??= hashPassword(randomBytes(16).toString("hex"));
  return decoyCredential;
}

function invalid(what: string, why: string): BiplaneError {
  return new BiplaneError("invalid_argument", { what, why });
}
