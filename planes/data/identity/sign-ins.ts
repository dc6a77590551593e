/** Sign-ins under way and past: what the OpenID provider keeps of each subject, to list it and to end it. */
import { type OrgId, second } from "@biplane/base";
import type { Clock } from "@biplane/kit/clock";
import type { Policy } from "../policy/policy.ts";
import type { Directory, DirectoryTransaction } from "./directory.ts";
import type { Revocations } from "./revocations.ts";
import type { Sealing } from "./sealing.ts";

export interface Session {
  /** The name that its tokens say. */
  readonly session: string;
  readonly client: string;
  readonly beganAtMs: number;
  readonly expiresAtMs: number;
}

export const oidcTable = "identity_oidc";

/** What rows of the provider are found by; its own ids are bearer tokens. */
export function oidcHash(sealing: Sealing, purpose: OidcPurpose, model: string, value: string): string {
  const scope = purpose === "grant" || purpose === "subject" ? "" : model;
  return sealing.hash(`oidc ${purpose} ${scope}`, value);
}
export type OidcPurpose = "id" | "grant" | "user code" | "uid" | "subject";

export function oidcRow(model: string, idHash: string): string {
  return JSON.stringify([model, idHash]);
}

interface GrantPayload {
  readonly jti: string;
  readonly clientId: string;
  readonly iat: number;
  readonly exp: number;
}

export interface SignInsParts {
  readonly org: OrgId;
  readonly directory: Directory;
  readonly revocations: Revocations;
  readonly policy: Pick<Policy, "change">;
  readonly sealing: Sealing;
  readonly clock: Clock;
}

export class SignIns {
  readonly #parts: SignInsParts;

  constructor(parts: SignInsParts) {
    this.#parts = parts;
  }

  /** Sessions, grants, codes and refresh tokens. Access tokens have to be denied besides. */
  async endAllOf(transaction: DirectoryTransaction, subject: string): Promise<void> {
    await transaction
      .deleteFrom(oidcTable)
      .where("org_id", "=", this.#parts.org)
      .where("subject_hash", "=", oidcHash(this.#parts.sealing, "subject", "", subject))
      .execute();
  }

  async list(subject: string): Promise<readonly Session[]> {
    const grants = await this.#grants(subject);
    return grants.map(({ jti, clientId, iat, exp }) => ({
      session: this.#parts.revocations.nameOf(jti),
      client: clientId,
      beganAtMs: iat * second,
      expiresAtMs: exp * second,
    }));
  }

  /** False where the subject has no such sign-in. */
  async end(subject: string, session: string): Promise<boolean> {
    const { revocations } = this.#parts;
    const grant = (await this.#grants(subject)).find(({ jti }) => revocations.nameOf(jti) === session);
    if (grant === undefined) return false;
    await endGrant(this.#parts, grant.jti);
    return true;
  }

  async #grants(subject: string): Promise<readonly GrantPayload[]> {
    const { org, directory, sealing, clock } = this.#parts;
    const rows = await directory.run((transaction) =>
      transaction
        .selectFrom(oidcTable)
        .select(["id_hash", "payload"])
        .where("org_id", "=", org)
        .where("model", "=", "Grant")
        .where("subject_hash", "=", oidcHash(sealing, "subject", "", subject))
        .where("expires_at_ms", ">", clock.now())
        .execute(),
    );
    return rows.map((row) =>
      sealing.open<GrantPayload>(oidcTable, "payload", oidcRow("Grant", row.id_hash), row.payload),
    );
  }
}

/** Denies its tokens and forgets it with all that was given under it. */
export async function endGrant(
  { org, revocations, policy, sealing }: Pick<SignInsParts, "org" | "revocations" | "policy" | "sealing">,
  grantId: string,
): Promise<void> {
  await policy.change(async (transaction) => {
    await revocations.denyGrant(transaction, grantId);
    // The grant itself too: what a request under way still stores under it is worth nothing then.
    await transaction
      .deleteFrom(oidcTable)
      .where("org_id", "=", org)
      .where((row) =>
        row.or([
          row("grant_hash", "=", oidcHash(sealing, "grant", "", grantId)),
          row("id_hash", "=", oidcHash(sealing, "id", "Grant", grantId)),
        ]),
      )
      .execute();
  });
}
