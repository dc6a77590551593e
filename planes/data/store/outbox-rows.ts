/** The outbox and the incarnation that numbers it. One row holds the events of one transaction, in order. */
import type { OrgId } from "@biplane/base";
import { type Event, EventBatchSchema } from "@biplane/control-wire";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import type { Transaction } from "kysely";
import type { DataSchema } from "./schema.ts";

/** Keeps a row well below a megabyte. */
const eventsPerRowMax = 500;

export interface IncarnationState {
  readonly id: string;
  readonly acknowledged: bigint;
  readonly lastSequence: bigint;
}

export async function readIncarnation(
  transaction: Transaction<DataSchema>,
  org: OrgId,
): Promise<IncarnationState | undefined> {
  const row = await transaction
    .selectFrom("incarnation")
    .selectAll()
    .where("org_id", "=", org)
    .executeTakeFirst();
  if (row === undefined) return undefined;
  const { last } = await transaction
    .selectFrom("outbox")
    .select(({ fn }) => fn.max("last_sequence").as("last"))
    .where("org_id", "=", org)
    .executeTakeFirstOrThrow();
  const acknowledged = BigInt(row.acknowledged);
  const written = BigInt(last ?? 0);
  return { id: row.id, acknowledged, lastSequence: written > acknowledged ? written : acknowledged };
}

/** At init and at restore: numbering starts again, and what was not sent is replaced by a snapshot. */
export async function writeIncarnation(
  transaction: Transaction<DataSchema>,
  org: OrgId,
  id: string,
): Promise<void> {
  await transaction.deleteFrom("outbox").where("org_id", "=", org).execute();
  await transaction
    .insertInto("incarnation")
    .values({ org_id: org, id, acknowledged: 0n })
    .onConflict((conflict) => conflict.column("org_id").doUpdateSet({ id, acknowledged: 0n }))
    .execute();
}

export async function writeAcknowledged(
  transaction: Transaction<DataSchema>,
  org: OrgId,
  cursor: bigint,
): Promise<void> {
  await transaction
    .updateTable("incarnation")
    .set({ acknowledged: cursor })
    .where("org_id", "=", org)
    .execute();
  await transaction
    .deleteFrom("outbox")
    .where("org_id", "=", org)
    .where("last_sequence", "<=", cursor)
    .execute();
}

/** The events are numbered without gaps. */
export async function insertEvents(
  transaction: Transaction<DataSchema>,
  org: OrgId,
  events: readonly Event[],
): Promise<void> {
  for (let start = 0; start < events.length; start += eventsPerRowMax) {
    const chunk = events.slice(start, start + eventsPerRowMax);
    await transaction
      .insertInto("outbox")
      .values({
        org_id: org,
        first_sequence: chunk[0]!.sequence,
        last_sequence: chunk.at(-1)!.sequence,
        events: Buffer.from(toBinary(EventBatchSchema, create(EventBatchSchema, { events: chunk }))),
      })
      .execute();
  }
}

/** Events after the sequence, oldest first, at most `limit`. */
export async function readEvents(
  transaction: Transaction<DataSchema>,
  org: OrgId,
  after: bigint,
  limit: number,
): Promise<readonly Event[]> {
  const found: Event[] = [];
  let from = after;
  while (found.length < limit) {
    const row = await transaction
      .selectFrom("outbox")
      .select(["events", "last_sequence"])
      .where("org_id", "=", org)
      .where("last_sequence", ">", from)
      .orderBy("last_sequence")
      .limit(1)
      .executeTakeFirst();
    if (row === undefined) break;
    const { events } = fromBinary(EventBatchSchema, row.events);
    found.push(...events.filter(({ sequence }) => sequence > after));
    from = BigInt(row.last_sequence);
  }
  return found.slice(0, limit);
}
