/** Keys that make things happen once: of repeated requests (rule of state 2) and of intents (rule of state 5). */
import type { OrgId, RunId } from "@biplane/base";
import type { Selectable, Transaction } from "kysely";
import type { DataSchema } from "./schema.ts";

export interface RepeatKey {
  readonly key: string;
  readonly run: RunId;
  readonly createdAtMs: number;
}

export interface UsedNonce {
  /** Lower-case hex. */
  readonly nonce: string;
  readonly run: RunId;
  readonly fence: bigint;
  readonly expiresAtMs: number;
}

export async function insertRepeatKeys(
  transaction: Transaction<DataSchema>,
  org: OrgId,
  keys: readonly RepeatKey[],
): Promise<void> {
  for (const { key, run, createdAtMs } of keys) {
    const place = { project: run.project, domain: run.domain, run: run.run, created_at_ms: createdAtMs };
    await transaction
      .insertInto("repeat_key")
      .values({ org_id: org, key, ...place })
      .onConflict((conflict) => conflict.columns(["org_id", "key"]).doUpdateSet(place))
      .execute();
  }
}

export async function deleteRepeatKeys(
  transaction: Transaction<DataSchema>,
  org: OrgId,
  keys: readonly string[],
): Promise<void> {
  if (keys.length === 0) return;
  await transaction
    .deleteFrom("repeat_key")
    .where("org_id", "=", org)
    .where("key", "in", [...keys])
    .execute();
}

/** Those of the keys that are known. */
export async function readRepeatKeys(
  transaction: Transaction<DataSchema>,
  org: OrgId,
  keys: readonly string[],
): Promise<ReadonlyMap<string, RepeatKey>> {
  const rows = await transaction
    .selectFrom("repeat_key")
    .selectAll()
    .where("org_id", "=", org)
    .where("key", "in", [...keys])
    .execute();
  return new Map(rows.map((row) => [row.key, repeatKeyOf(row)]));
}

/** The newest ones, oldest of them first. */
export async function readNewestRepeatKeys(
  transaction: Transaction<DataSchema>,
  org: OrgId,
  countMax: number,
): Promise<readonly RepeatKey[]> {
  const rows = await transaction
    .selectFrom("repeat_key")
    .selectAll()
    .where("org_id", "=", org)
    .orderBy("created_at_ms", "desc")
    .limit(countMax)
    .execute();
  return rows.map(repeatKeyOf).reverse();
}

export async function insertNonces(
  transaction: Transaction<DataSchema>,
  org: OrgId,
  nonces: readonly UsedNonce[],
): Promise<void> {
  for (const { nonce, run, fence, expiresAtMs } of nonces) {
    await transaction
      .insertInto("intent_nonce")
      .values({
        org_id: org,
        nonce,
        project: run.project,
        domain: run.domain,
        run: run.run,
        fence,
        expires_at_ms: expiresAtMs,
      })
      .execute();
  }
}

export async function readNonces(
  transaction: Transaction<DataSchema>,
  org: OrgId,
): Promise<readonly UsedNonce[]> {
  const rows = await transaction.selectFrom("intent_nonce").selectAll().where("org_id", "=", org).execute();
  return rows.map((row) => ({
    nonce: row.nonce,
    run: runOf(row),
    fence: BigInt(row.fence),
    expiresAtMs: Number(row.expires_at_ms),
  }));
}

/** Forgets what can't matter any more: an expired intent is refused without its nonce. */
export async function deleteExpiredKeys(
  transaction: Transaction<DataSchema>,
  org: OrgId,
  before: { repeatKeysMs: number; noncesMs: number },
): Promise<void> {
  await transaction
    .deleteFrom("repeat_key")
    .where("org_id", "=", org)
    .where("created_at_ms", "<", before.repeatKeysMs)
    .execute();
  await transaction
    .deleteFrom("intent_nonce")
    .where("org_id", "=", org)
    .where("expires_at_ms", "<", before.noncesMs)
    .execute();
}

function repeatKeyOf(row: Selectable<DataSchema["repeat_key"]>): RepeatKey {
  return { key: row.key, run: runOf(row), createdAtMs: Number(row.created_at_ms) };
}

function runOf(row: { org_id: string; project: string; domain: string; run: string }): RunId {
  return { org: row.org_id, project: row.project, domain: row.domain, run: row.run } as unknown as RunId;
}
