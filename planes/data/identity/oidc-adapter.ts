/**
 * Where the OpenID provider keeps sessions, grants, codes and refresh tokens: one table of the data plane's database.
 * The provider's ids are bearer secrets, so rows are found by keyed hashes and payloads are sealed.
 */
import { type OrgId, second } from "@biplane/base";
import type { Clock } from "@biplane/kit/clock";
import type { Database } from "@biplane/kit/database";
import type { Adapter, AdapterPayload } from "oidc-provider";
import type { Policy } from "../policy/policy.ts";
import type { OidcModelTable } from "../store/identity.ts";
import type { DataSchema } from "../store/schema.ts";
import type { Directory } from "./directory.ts";
import { errors } from "./provider-library.ts";
import type { Revocations } from "./revocations.ts";
import type { Sealing } from "./sealing.ts";
import { endGrant, type OidcPurpose, oidcHash, oidcRow, oidcTable } from "./sign-ins.ts";

export interface AdapterParts {
  readonly org: OrgId;
  readonly database: Database<DataSchema>;
  readonly sealing: Sealing;
  readonly directory: Directory;
  readonly revocations: Revocations;
  readonly policy: Pick<Policy, "change">;
  readonly clock: Clock;
}

const table = oidcTable;

/** A constructor as the provider wants it: one instance per kind of thing. */
export function createAdapterFactory(parts: AdapterParts): (model: string) => Adapter {
  return (model) => (model === "Client" ? new ClientAdapter(parts) : new ModelAdapter(model, parts));
}

class ModelAdapter implements Adapter {
  readonly #model: string;
  readonly #parts: AdapterParts;

  constructor(model: string, parts: AdapterParts) {
    this.#model = model;
    this.#parts = parts;
  }

  async upsert(id: string, payload: AdapterPayload, expiresInSeconds?: number): Promise<void> {
    const { org, sealing, clock, database } = this.#parts;
    const idHash = this.#hash("id", id);
    const row = {
      payload: sealing.seal(table, "payload", oidcRow(this.#model, idHash), payload),
      grant_hash: payload.grantId === undefined ? null : this.#hash("grant", payload.grantId),
      user_code_hash: payload.userCode === undefined ? null : this.#hash("user code", payload.userCode),
      uid_hash: payload.uid === undefined ? null : this.#hash("uid", payload.uid),
      subject_hash: payload.accountId === undefined ? null : this.#hash("subject", payload.accountId),
      expires_at_ms: expiresInSeconds === undefined ? null : clock.now() + expiresInSeconds * second,
    };
    await database.asOrg(org, (transaction) =>
      transaction
        .insertInto(table)
        .values({ org_id: org, model: this.#model, id_hash: idHash, consumed_at_ms: null, ...row })
        .onConflict((conflict) => conflict.columns(["org_id", "model", "id_hash"]).doUpdateSet(row))
        .execute(),
    );
  }

  find(id: string): Promise<AdapterPayload | undefined> {
    return this.#findBy("id_hash", this.#hash("id", id));
  }

  findByUserCode(userCode: string): Promise<AdapterPayload | undefined> {
    return this.#findBy("user_code_hash", this.#hash("user code", userCode));
  }

  findByUid(uid: string): Promise<AdapterPayload | undefined> {
    return this.#findBy("uid_hash", this.#hash("uid", uid));
  }

  /** Of two who show the same code or token at the same moment, both are refused and everything of it ends. */
  async consume(id: string): Promise<void> {
    const { org, clock, database } = this.#parts;
    const { numUpdatedRows } = await database.asOrg(org, (transaction) =>
      transaction
        .updateTable(table)
        .set({ consumed_at_ms: clock.now() })
        .where("org_id", "=", org)
        .where("model", "=", this.#model)
        .where("id_hash", "=", this.#hash("id", id))
        .where("consumed_at_ms", "is", null)
        .executeTakeFirst(),
    );
    if (numUpdatedRows === 1n) return;
    const { grantId } = (await this.find(id)) ?? {};
    if (grantId !== undefined) await this.revokeByGrantId(grantId);
    throw new errors.InvalidGrant("it was used before");
  }

  async destroy(id: string): Promise<void> {
    const { org, database } = this.#parts;
    await database.asOrg(org, (transaction) =>
      transaction
        .deleteFrom(table)
        .where("org_id", "=", org)
        .where("model", "=", this.#model)
        .where("id_hash", "=", this.#hash("id", id))
        .execute(),
    );
  }

  /** Called when a code or a rotated refresh token is used twice: somebody else may have it. */
  revokeByGrantId(grantId: string): Promise<void> {
    return endGrant(this.#parts, grantId);
  }

  async #findBy(
    column: "id_hash" | "user_code_hash" | "uid_hash",
    hash: string,
  ): Promise<AdapterPayload | undefined> {
    const { org, sealing, clock, database } = this.#parts;
    const row = await database.asOrg(org, (transaction) =>
      transaction
        .selectFrom(table)
        .select(["id_hash", "payload", "expires_at_ms", "consumed_at_ms"])
        .where("org_id", "=", org)
        .where("model", "=", this.#model)
        .where(column, "=", hash)
        .executeTakeFirst(),
    );
    if (row === undefined) return undefined;
    if (row.expires_at_ms !== null && Number(row.expires_at_ms) < clock.now()) return undefined;
    const payload = sealing.open<AdapterPayload>(
      table,
      "payload",
      oidcRow(this.#model, row.id_hash),
      row.payload,
    );
    const consumed = row.consumed_at_ms === null ? {} : { consumed: consumedSeconds(row.consumed_at_ms) };
    return { ...payload, ...consumed };
  }

  #hash(purpose: OidcPurpose, value: string): string {
    return oidcHash(this.#parts.sealing, purpose, this.#model, value);
  }
}

function consumedSeconds(ms: NonNullable<OidcModelTable["consumed_at_ms"]>["__select__"]): number {
  return Math.floor(Number(ms) / second);
}

/** Machine clients live in the directory; the provider only reads them. */
class ClientAdapter implements Adapter {
  readonly #parts: AdapterParts;

  constructor(parts: AdapterParts) {
    this.#parts = parts;
  }

  async find(id: string): Promise<AdapterPayload | undefined> {
    const found = await this.#parts.directory.findActive(id);
    if (found?.kind !== "service" || found.credential.scheme !== "sha256") return undefined;
    return {
      client_id: found.subject,
      client_name: found.profile.name,
      // The provider compares through `compareClientSecret`, which checks against this hash.
      client_secret: found.credential.hash,
      grant_types: ["client_credentials"],
      redirect_uris: [],
      response_types: [],
      token_endpoint_auth_method: "client_secret_basic",
    };
  }

  async findByUid(): Promise<undefined> {
    return undefined;
  }
  async findByUserCode(): Promise<undefined> {
    return undefined;
  }
  async upsert(): Promise<void> {
    throw new Error("Clients are made in the directory.");
  }
  async consume(): Promise<void> {}
  async destroy(): Promise<void> {}
  async revokeByGrantId(): Promise<void> {}
}

/** Deletes what has expired, so that abandoned sign-ins do not pile up. */
export async function deleteExpired(parts: Pick<AdapterParts, "org" | "database" | "clock">): Promise<void> {
  await parts.database.asOrg(parts.org, (transaction) =>
    transaction
      .deleteFrom(table)
      .where("org_id", "=", parts.org)
      .where("expires_at_ms", "<", parts.clock.now())
      .execute(),
  );
}
