/** First form of the tables about work: tasks, runs, actions, attempts, and what waits for an answer. */
import { type Kysely, sql } from "kysely";
import { createTable } from "./create-table.ts";

const scope = { project: "text", domain: "text" };
const outcome = {
  phase: "integer not null",
  started_at: "bigint",
  ended_at: "bigint",
  failure_code: "text not null",
  failure_kind: "integer not null",
};

export async function createWorkTables(kysely: Kysely<unknown>): Promise<string[]> {
  const tables = [
    await createTable(
      kysely,
      "task",
      { ...scope, name: "text", version: "text" },
      {
        deployed_at: "bigint not null",
        deployed_by_sealed: "bytea not null",
        spec_digest: "bytea not null",
      },
    ),
    await createRunTable(kysely),
    await createTable(
      kysely,
      "action",
      { ...scope, run: "text", name: "text" },
      {
        parent: "text not null",
        kind: "integer not null",
        task_name: "text not null",
        task_version: "text not null",
        attempt: "integer not null",
        created_at: "bigint",
        ...outcome,
        seen_in: "text not null",
      },
    ),
    await createTable(
      kysely,
      "attempt",
      { ...scope, run: "text", action: "text", attempt: "integer" },
      outcome,
    ),
  ];
  return [...tables, ...(await createWaitingTables(kysely))];
}

async function createRunTable(kysely: Kysely<unknown>): Promise<string> {
  const table = await createTable(
    kysely,
    "run",
    { ...scope, name: "text" },
    {
      cluster: "text not null",
      document_digest: "bytea not null",
      task_project: "text not null",
      task_domain: "text not null",
      task_name: "text not null",
      task_version: "text not null",
      created_by_sealed: "bytea not null",
      created_at: "bigint not null",
      ...outcome,
      incarnation: "text not null",
      admitted_sequence: "bigint not null",
      seen_in: "text not null",
      fence: "bigint",
      intent_nonce: "bytea",
      intent_expires_at: "bigint",
      intent_outcome: "integer",
    },
  );
  // Lists give the newest first; the name makes the order total, so that a cursor continues exactly.
  await sql`create index run_by_time on run (org_id, created_at desc, project, domain, name)`.execute(kysely);
  await sql`create index run_by_admission on run (org_id, cluster, incarnation, admitted_sequence)`.execute(
    kysely,
  );
  await sql`create index run_with_intent on run (org_id, cluster, created_at)
    where fence is not null and intent_outcome is null`.execute(kysely);
  return table;
}

async function createWaitingTables(kysely: Kysely<unknown>): Promise<string[]> {
  return [
    await createTable(
      kysely,
      "refusal",
      { cluster: "text", incarnation: "text", sequence: "bigint" },
      {
        project: "text not null",
        domain: "text not null",
        run: "text not null",
        outcome: "integer not null",
      },
    ),
    await createTable(
      kysely,
      "command",
      { id: "text" },
      {
        cluster: "text not null",
        expires_at: "bigint not null",
        project: "text not null",
        domain: "text not null",
        run: "text not null",
        requested_by_sealed: "bytea not null",
      },
    ),
  ];
}
