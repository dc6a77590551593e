/** The one-time claim that `biplane data init` prints: whoever shows it first becomes the first administrator. */
import { randomBytes } from "node:crypto";
import { BiplaneError, type OrgId, Secret } from "@biplane/base";
import type { Clock } from "@biplane/kit/clock";
import type { Database } from "@biplane/kit/database";
import type { DataSchema } from "../store/schema.ts";
import type { Directory } from "./directory.ts";
import type { Sealing } from "./sealing.ts";
import type { NewSubject } from "./subject.ts";
import { type NewClient, type NewPerson, prepareClient, preparePerson } from "./subject-rules.ts";

export interface ClaimRequest {
  readonly claim: Secret<string>;
  readonly person?: NewPerson;
  readonly clientName?: string;
}

export interface ClaimResult {
  readonly person?: { readonly subject: string };
  readonly client?: NewClient;
}

export class Claims {
  readonly #org: OrgId;
  readonly #database: Database<DataSchema>;
  readonly #sealing: Sealing;
  readonly #directory: Directory;
  readonly #clock: Clock;

  constructor(parts: {
    org: OrgId;
    database: Database<DataSchema>;
    sealing: Sealing;
    directory: Directory;
    clock: Clock;
  }) {
    this.#org = parts.org;
    this.#database = parts.database;
    this.#sealing = parts.sealing;
    this.#directory = parts.directory;
    this.#clock = parts.clock;
  }

  /** A new claim; earlier ones that nobody redeemed stop working. */
  async create(): Promise<Secret<string>> {
    const claim = new Secret(randomBytes(24).toString("base64url"));
    await this.#database.asOrg(this.#org, async (transaction) => {
      await transaction
        .deleteFrom("identity_claims")
        .where("org_id", "=", this.#org)
        .where("subject", "=", "")
        .where("redeemed_at_ms", "is", null)
        .execute();
      await transaction
        .insertInto("identity_claims")
        .values({
          org_id: this.#org,
          claim_hash: this.#hash(claim),
          created_at_ms: this.#clock.now(),
          redeemed_at_ms: null,
        })
        .execute();
    });
    return claim;
  }

  /** Uses the claim up and adds the administrators in one transaction, so that a crash leaves both or neither. */
  async redeem(request: ClaimRequest): Promise<ClaimResult> {
    if (!(await this.#isOpen(request.claim))) throw refused();
    const now = this.#clock.now();
    const person = request.person && (await preparePerson(request.person, now));
    const client = request.clientName === undefined ? undefined : prepareClient(request.clientName, now);
    const subjects = [person, client?.subject].filter((one): one is NewSubject => one !== undefined);
    if (subjects.length === 0) {
      throw new BiplaneError("invalid_argument", {
        what: "The claim names no administrator.",
        next: "Send `user` with email, name and password, or `client` with a name, or both.",
      });
    }
    await this.#database.asOrg(this.#org, async (transaction) => {
      const used = await transaction
        .updateTable("identity_claims")
        .set({ redeemed_at_ms: this.#clock.now() })
        .where("org_id", "=", this.#org)
        .where("claim_hash", "=", this.#hash(request.claim))
        .where("subject", "=", "")
        .where("redeemed_at_ms", "is", null)
        .executeTakeFirst();
      if (used.numUpdatedRows !== 1n) throw refused();
      for (const subject of subjects) await this.#directory.add(transaction, subject, { role: "Admin" });
    });
    return {
      ...(person === undefined ? {} : { person: { subject: person.subject } }),
      ...(client === undefined ? {} : { client: client.client }),
    };
  }

  async #isOpen(claim: Secret<string>): Promise<boolean> {
    const row = await this.#database.asOrg(this.#org, (transaction) =>
      transaction
        .selectFrom("identity_claims")
        .select("redeemed_at_ms")
        .where("org_id", "=", this.#org)
        .where("claim_hash", "=", this.#hash(claim))
        .where("subject", "=", "")
        .executeTakeFirst(),
    );
    return row !== undefined && row.redeemed_at_ms === null;
  }

  #hash(claim: Secret<string>): string {
    return this.#sealing.hash("claim", claim.reveal());
  }
}

function refused(): BiplaneError {
  return new BiplaneError(
    "permission_denied",
    {
      what: "The claim does not work.",
      why: "It is wrong, was replaced, or somebody has redeemed it already.",
      next: "If it was not you, run `biplane data init --new-claim` on the data plane and look into the audit log.",
    },
    { reason: "claim_refused" },
  );
}
