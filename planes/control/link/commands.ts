/** Commands to data planes, kept until answered or expired, and sent again at every connection. */
import { randomUUID } from "node:crypto";
import { day } from "@biplane/base";
import { type Command, CommandSchema } from "@biplane/control-wire";
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { Selectable } from "kysely";
import { type RunKey, runRef } from "../runs/rows.ts";
import type { ControlTransaction, Store } from "../store/open.ts";
import type { CommandTable } from "../store/schema.ts";

const lifetimeMs = day;

export interface CommandScope {
  readonly store: Store;
  readonly transaction: ControlTransaction;
  readonly org: string;
  readonly cluster: string;
  readonly nowMs: number;
}

export async function addAbort(scope: CommandScope, run: RunKey, requestedBy: string): Promise<Command> {
  const { store, transaction, org, cluster, nowMs } = scope;
  const id = randomUUID();
  const row = {
    org_id: org,
    id,
    cluster,
    expires_at: nowMs + lifetimeMs,
    project: run.project,
    domain: run.domain,
    run: run.name,
    requested_by_sealed: store.seal(placeOf(org, id), requestedBy),
  };
  await transaction.insertInto("command").values(row).execute();
  return commandOf(store, row);
}

/** Oldest first; what expired is dropped. */
export async function dueCommands(scope: CommandScope, limit: number): Promise<Command[]> {
  const { store, transaction, org, cluster, nowMs } = scope;
  await transaction
    .deleteFrom("command")
    .where((where) => where.and({ org_id: org, cluster }))
    .where("expires_at", "<=", nowMs)
    .execute();
  const rows = await transaction
    .selectFrom("command")
    .selectAll()
    .where((where) => where.and({ org_id: org, cluster }))
    .orderBy("expires_at")
    .limit(limit)
    .execute();
  return rows.map((row) => commandOf(store, row));
}

export async function removeCommands(scope: CommandScope, ids: readonly string[]): Promise<void> {
  if (ids.length === 0) return;
  await scope.transaction
    .deleteFrom("command")
    .where((where) => where.and({ org_id: scope.org, cluster: scope.cluster }))
    .where("id", "in", [...ids])
    .execute();
}

function commandOf(store: Store, row: Selectable<CommandTable>): Command {
  const run = runRef(row.org_id, { project: row.project, domain: row.domain, name: row.run });
  const requestedBy = store.open(placeOf(row.org_id, row.id), row.requested_by_sealed);
  return create(CommandSchema, {
    id: row.id,
    expiresAt: timestampFromMs(row.expires_at),
    command: { case: "abortRun", value: { run, requestedBy } },
  });
}

function placeOf(org: string, id: string) {
  return { org, table: "command", column: "requested_by", key: [id] } as const;
}
