/** How far an incarnation of a cluster's state was applied, and whether it may go on (rule of state 8). */
import { BiplaneError } from "@biplane/base";
import type { Hello } from "@biplane/control-wire";
import { executeLater } from "@biplane/kit";
import { type Selectable, sql } from "kysely";
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

/**
 * Moves on from exactly the position that was read: two connections can't both apply the same events. Where it is another by
 * now the column gets nothing, which it refuses, and the transaction fails (`explainMoved`).
 */
export async function advancePosition(
  transaction: ControlTransaction,
  org: string,
  cluster: string,
  from: Position,
  to: Position,
  asOfMs: number | undefined,
): Promise<void> {
  const { incarnation, cursor, state, snapshot } = to;
  const moved = sql<number>`case when cursor = ${from.cursor} and state = ${from.state} then ${cursor}::bigint end`;
  const query = transaction
    .updateTable("link_cursor")
    .set({ cursor: moved, state, snapshot, ...(asOfMs === undefined ? {} : { as_of: asOfMs }) })
    .where((where) => where.and({ org_id: org, cluster, incarnation }));
  await executeLater(transaction, query.compile());
}

/** PostgreSQL: not_null_violation. */
const nullRefused = "23502";

/** What the failure of a transaction means that moved the position; other failures stay what they are. */
export function explainMoved(error: unknown): unknown {
  const { code, table } = error as { readonly code?: unknown; readonly table?: unknown };
  if (code !== nullRefused || table !== "link_cursor") return error;
  return new BiplaneError("aborted", "Another connection of this cluster applied events at the same time.", {
    reason: "cursor_moved",
    cause: error,
  });
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
      next: "Was it put back from a backup? Stop it and run `biplane data restored`: runs that it lost are told apart.",
    },
    { reason: "rolled_back" },
  );
}
