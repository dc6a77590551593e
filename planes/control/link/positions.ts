/** How far an incarnation of a cluster's state was applied, and whether it may go on (rule of state 8). */
import { BiplaneError } from "@biplane/base";
import type { Hello } from "@biplane/control-wire";
import type { Selectable } from "kysely";
import type { ControlTransaction } from "../store/open.ts";
import type { LinkCursorTable } from "../store/schema.ts";

export type Position = Pick<Selectable<LinkCursorTable>, "incarnation" | "cursor" | "state" | "snapshot">;

/** The position of the hello's incarnation; an unknown one begins with a snapshot. Refuses histories that went back. */
export async function openPosition(
  transaction: ControlTransaction,
  org: string,
  cluster: string,
  hello: Hello,
): Promise<Position> {
  const { incarnation } = hello;
  await transaction
    .insertInto("link_cursor")
    .values({ org_id: org, cluster, incarnation, cursor: 0, state: "wanted", snapshot: "", as_of: null })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
  const position = await transaction
    .selectFrom("link_cursor")
    .select(["incarnation", "cursor", "state", "snapshot"])
    .where((where) => where.and({ org_id: org, cluster, incarnation }))
    .executeTakeFirstOrThrow();
  if (position.state === "superseded") throw superseded();
  if (Number(hello.lastSequence) < position.cursor) throw rolledBack(position.cursor, hello.lastSequence);
  return position;
}

/** Moves on from exactly the position that was read: two connections can't both apply the same events. */
export async function advancePosition(
  transaction: ControlTransaction,
  org: string,
  cluster: string,
  from: Position,
  to: Position,
  asOfMs: number | undefined,
): Promise<void> {
  const { incarnation, cursor, state, snapshot } = to;
  const result = await transaction
    .updateTable("link_cursor")
    .set({ cursor, state, snapshot, ...(asOfMs === undefined ? {} : { as_of: asOfMs }) })
    .where((where) =>
      where.and({ org_id: org, cluster, incarnation, cursor: from.cursor, state: from.state }),
    )
    .executeTakeFirst();
  if (result.numUpdatedRows !== 1n) {
    throw new BiplaneError("aborted", "Another connection of this cluster applied events at the same time.", {
      reason: "cursor_moved",
    });
  }
}

/** A snapshot of one incarnation ends every other one of the cluster. */
export async function supersedeOthers(
  transaction: ControlTransaction,
  org: string,
  cluster: string,
  incarnation: string,
): Promise<void> {
  await transaction
    .updateTable("link_cursor")
    .set({ state: "superseded" })
    .where((where) => where.and({ org_id: org, cluster }))
    .where("incarnation", "!=", incarnation)
    .execute();
}

function superseded(): BiplaneError {
  return new BiplaneError(
    "failed_precondition",
    {
      what: "This state of the data plane was replaced by a newer one.",
      why: "Another incarnation of the same cluster has sent its snapshot since.",
      next: "Stop this process: it runs on a database that was restored elsewhere.",
    },
    { reason: "superseded_incarnation" },
  );
}

function rolledBack(cursor: number, lastSequence: bigint): BiplaneError {
  return new BiplaneError(
    "failed_precondition",
    {
      what: "The data plane's database went back in time.",
      why: `It ends at event ${lastSequence}, and event ${cursor} of the same incarnation is on record.`,
      next: "Restore it as a new incarnation, so that runs that it lost are told apart.",
    },
    { reason: "rolled_back" },
  );
}
