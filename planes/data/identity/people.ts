/** What administrators do with people: invite, look, disable, delete, end their sign-ins. Rights end at once. */
import { randomBytes } from "node:crypto";
import { BiplaneError, day, type OrgId, Secret } from "@biplane/base";
import type { Clock } from "@biplane/kit/clock";
import { keepAdministrator } from "../policy/administrators.ts";
import type { Policy } from "../policy/policy.ts";
import type { Directory, DirectoryTransaction } from "./directory.ts";
import { hashPassword } from "./passwords.ts";
import type { Revocations } from "./revocations.ts";
import type { Sealing } from "./sealing.ts";
import type { SignIns } from "./sign-ins.ts";
import type { Subject } from "./subject.ts";
import { prepareInvited, requirePassword } from "./subject-rules.ts";

export interface Invitation {
  readonly code: Secret<string>;
  readonly expiresAtMs: number;
}

export interface PeopleParts {
  readonly org: OrgId;
  readonly directory: Directory;
  readonly signIns: SignIns;
  readonly revocations: Revocations;
  readonly sealing: Sealing;
  readonly clock: Clock;
  /** Whoever comes, goes or is denied: the policy that says so is signed in the same transaction. */
  readonly policy: Pick<Policy, "change">;
}

export const invitationMs = 7 * day;

export class People {
  readonly #parts: PeopleParts;

  constructor(parts: PeopleParts) {
    this.#parts = parts;
  }

  async create(person: { email: string; name: string; role: string }): Promise<{
    user: Subject;
    invitation: Invitation;
  }> {
    const { directory, clock, policy } = this.#parts;
    const subject = prepareInvited(person, clock.now());
    const grant = person.role === "" ? undefined : { role: person.role };
    const invitation = await policy.change(async (transaction) => {
      const taken = directory.loginHash(person.email);
      if ((await directory.findBy(transaction, "login_hash", taken)) !== undefined) throw exists();
      await directory.add(transaction, subject, grant);
      return this.#invite(transaction, subject.subject);
    });
    return { user: { ...subject, isFederated: false }, invitation };
  }

  /** By subject or e-mail address. */
  async get(user: string): Promise<Subject> {
    return this.#parts.directory.run((transaction) => this.#find(transaction, user));
  }

  page(after: string, limit: number): Promise<readonly Subject[]> {
    return this.#parts.directory.page("user", after, limit);
  }

  async invite(user: string): Promise<Invitation> {
    return this.#parts.directory.run(async (transaction) => {
      const found = await this.#find(transaction, user);
      if (found.isFederated) throw federated();
      return this.#invite(transaction, found.subject);
    });
  }

  /** Uses an invitation up: the person has this password from now on, and nobody else's sign-in goes on. */
  async acceptInvitation(code: Secret<string>, password: Secret<string>): Promise<Subject> {
    const { directory } = this.#parts;
    const found = await directory.run((transaction) => this.#invited(transaction, code));
    if (found === undefined) throw invitationRefused();
    return this.#setPassword(found.subject, password, async (transaction) => {
      if ((await this.#useInvitation(transaction, code)) !== found.subject) throw invitationRefused();
    });
  }

  /** The caller has shown the present password. */
  changePassword(subject: string, password: Secret<string>): Promise<Subject> {
    return this.#setPassword(subject, password, async () => {});
  }

  async setDisabled(user: string, disabled: boolean, by: string): Promise<void> {
    const { directory, clock } = this.#parts;
    await this.#endAll(user, by, disabled, async (transaction, found) => {
      if ((found.disabledAtMs !== undefined) === disabled) return;
      await directory.update(transaction, { ...found, disabledAtMs: disabled ? clock.now() : undefined });
    });
  }

  async remove(user: string, by: string): Promise<void> {
    const { directory } = this.#parts;
    await this.#endAll(user, by, true, async (transaction, found) => {
      // A key works for whoever answers for it; without them nobody does.
      for (const key of await directory.ownedBy(transaction, found.subject)) {
        await directory.remove(transaction, key);
      }
      await directory.remove(transaction, found.subject);
    });
  }

  /** Ends all sign-ins; they may begin new ones. */
  async revoke(user: string): Promise<void> {
    await this.#endAll(user, undefined, false, async () => {});
  }

  /** Sign-ins end and tokens are denied in the transaction that changes the person: never one without the other. */
  async #endAll(
    user: string,
    by: string | undefined,
    forGood: boolean,
    change: (transaction: DirectoryTransaction, found: Subject) => Promise<void>,
  ): Promise<void> {
    const { directory, signIns, revocations, policy } = this.#parts;
    await policy.change(async (transaction) => {
      const found = await this.#find(transaction, user);
      // Whoever removes others remains, so that the organization never loses its last administrator.
      if (found.subject === by) throw yourself();
      const keys = forGood ? await directory.ownedBy(transaction, found.subject) : [];
      for (const subject of [found.subject, ...keys]) {
        if (forGood) await revocations.keepOut(transaction, subject);
        else await revocations.endTokens(transaction, subject);
      }
      await signIns.endAllOf(transaction, found.subject);
      const keeping = { transaction, org: this.#parts.org, nowMs: this.#parts.clock.now() };
      if (forGood) await keepAdministrator(keeping, () => change(transaction, found));
      else await change(transaction, found);
    });
  }

  async #setPassword(
    subject: string,
    password: Secret<string>,
    first: (transaction: DirectoryTransaction) => Promise<void>,
  ): Promise<Subject> {
    const { directory, revocations, signIns, policy } = this.#parts;
    requirePassword(password);
    const credential = await hashPassword(password.reveal());
    return policy.change(async (transaction) => {
      await first(transaction);
      const found = await this.#find(transaction, subject);
      const changed = { ...found, credential };
      await directory.update(transaction, changed);
      await revocations.endTokens(transaction, subject);
      await signIns.endAllOf(transaction, subject);
      return changed;
    });
  }

  async #find(transaction: DirectoryTransaction, user: string): Promise<Subject> {
    const { directory } = this.#parts;
    const found = user.includes("@")
      ? await directory.findBy(transaction, "login_hash", directory.loginHash(user))
      : await directory.findBy(transaction, "subject", user);
    if (found?.kind === "user") return found;
    throw new BiplaneError("not_found", {
      what: "There is no such user.",
      next: "List them: biplane get user",
    });
  }

  async #invite(transaction: DirectoryTransaction, subject: string): Promise<Invitation> {
    const { org, clock } = this.#parts;
    const code = new Secret(randomBytes(24).toString("base64url"));
    const claims = transaction.deleteFrom("identity_claims").where("org_id", "=", org);
    await claims.where("subject", "=", subject).execute();
    const now = clock.now();
    await transaction
      .insertInto("identity_claims")
      .values({
        org_id: org,
        claim_hash: this.#hash(code),
        created_at_ms: now,
        redeemed_at_ms: null,
        subject,
      })
      .execute();
    return { code, expiresAtMs: now + invitationMs };
  }

  async #invited(
    transaction: DirectoryTransaction,
    code: Secret<string>,
  ): Promise<{ subject: string } | undefined> {
    return transaction
      .selectFrom("identity_claims")
      .select("subject")
      .where("org_id", "=", this.#parts.org)
      .where("claim_hash", "=", this.#hash(code))
      .where("subject", "!=", "")
      .where("created_at_ms", ">", this.#parts.clock.now() - invitationMs)
      .executeTakeFirst();
  }

  async #useInvitation(transaction: DirectoryTransaction, code: Secret<string>): Promise<string | undefined> {
    const used = await transaction
      .deleteFrom("identity_claims")
      .where("org_id", "=", this.#parts.org)
      .where("claim_hash", "=", this.#hash(code))
      .where("subject", "!=", "")
      .returning("subject")
      .executeTakeFirst();
    return used?.subject;
  }

  #hash(code: Secret<string>): string {
    return this.#parts.sealing.hash("invitation", code.reveal());
  }
}

function exists(): BiplaneError {
  return new BiplaneError("already_exists", {
    what: "There is a user with this e-mail address.",
    next: "Send a new invitation with `biplane update user --invite`, or use another address.",
  });
}

function federated(): BiplaneError {
  return new BiplaneError("failed_precondition", {
    what: "This person signs in at your own provider and has no password here.",
  });
}

function yourself(): BiplaneError {
  return new BiplaneError("failed_precondition", {
    what: "You can't take your own access away.",
    next: "Ask another administrator.",
  });
}

function invitationRefused(): BiplaneError {
  return new BiplaneError(
    "permission_denied",
    {
      what: "The invitation does not work.",
      why: "It is wrong, used, replaced, or older than seven days.",
      next: "Ask an administrator for a new one.",
    },
    { reason: "invitation_refused" },
  );
}
