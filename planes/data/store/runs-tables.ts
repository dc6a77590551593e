/**
 * Tables of runs, actions, documents, deployed tasks and the outbox. Keys, phases, times and codes are columns; what a
 * person or a program wrote is in the sealed ones. Changing columns carry no index, so that updates stay in place.
 */
import { protectTable } from "@biplane/kit/database";
import { type ColumnType, type Kysely, sql } from "kysely";

/** Drivers give 64-bit integers as strings, numbers or bigints; read them with `Number` or `BigInt`. */
type Int64 = ColumnType<string | number | bigint, number | bigint, number | bigint>;
type Int64OrNull = ColumnType<
  string | number | bigint | null,
  number | bigint | null,
  number | bigint | null
>;

export interface RunsTables {
  incarnation: { org_id: string; id: string; acknowledged: Int64 };
  outbox: { org_id: string; first_sequence: Int64; last_sequence: Int64; events: Uint8Array };
  /** `content` is under the project's key. */
  document: { org_id: string; project: string; digest: string; content: Uint8Array };
  run: RunTable;
  action: ActionTable;
  task: TaskTable;
  repeat_key: {
    org_id: string;
    key: string;
    project: string;
    domain: string;
    run: string;
    created_at_ms: Int64;
  };
  intent_nonce: {
    org_id: string;
    nonce: string;
    project: string;
    domain: string;
    run: string;
    fence: Int64;
    expires_at_ms: Int64;
  };
}

export interface RunTable {
  org_id: string;
  project: string;
  domain: string;
  name: string;
  admission: string;
  granted: boolean;
  fence: Int64;
  phase: number;
  document_digest: string;
  task_spec_digest: string;
  run_spec_digest: string;
  task_name: string;
  task_version: string;
  source: number;
  created_by: string;
  action_concurrency_max: number;
  failure_code: string | null;
  failure_kind: string | null;
  run_start_ms: Int64;
  created_at_ms: Int64;
  started_at_ms: Int64OrNull;
  ended_at_ms: Int64OrNull;
  updated_at_ms: Int64;
  repeat_key: string | null;
  /** Sealed JSON: labels, input URI, pins. */
  detail: Uint8Array;
}

export interface ActionTable {
  org_id: string;
  project: string;
  domain: string;
  run: string;
  name: string;
  parent: string;
  kind: number;
  depth: number;
  phase: number;
  task_name: string;
  task_version: string;
  task_type: string;
  spec_digest: string | null;
  created_by: string;
  created_at_ms: Int64;
  started_at_ms: Int64OrNull;
  ended_at_ms: Int64OrNull;
  updated_at_ms: Int64;
  not_before_ms: Int64;
  /** JSON of phases, times and codes; the texts are in `outcome`. */
  attempts: string;
  /** Sealed JSON: group, names of environment and function, URIs, retries. */
  detail: Uint8Array;
  /** Sealed JSON: error texts and abort reason, each under the project's key too; null while there are none. */
  outcome: Uint8Array | null;
}

export interface TaskTable {
  org_id: string;
  project: string;
  domain: string;
  name: string;
  version: string;
  spec_digest: string;
  deployed_by: string;
  deployed_at_ms: Int64;
  /** Sealed JSON: short name, environment. */
  detail: Uint8Array;
}

const statements = [
  `create table incarnation (
    org_id text primary key, id text not null, acknowledged bigint not null)`,
  `create table outbox (
    org_id text not null, first_sequence bigint not null, last_sequence bigint not null, events bytea not null,
    primary key (org_id, last_sequence))`,
  `create table document (
    org_id text not null, project text not null, digest text not null, content bytea not null,
    primary key (org_id, digest, project))`,
  `create table run (
    org_id text not null, project text not null, domain text not null, name text not null,
    admission text not null, granted boolean not null, fence bigint not null, phase smallint not null,
    document_digest text not null, task_spec_digest text not null, run_spec_digest text not null,
    task_name text not null, task_version text not null, source int not null, created_by text not null,
    action_concurrency_max int not null, failure_code text, failure_kind text, run_start_ms bigint not null,
    created_at_ms bigint not null, started_at_ms bigint, ended_at_ms bigint, updated_at_ms bigint not null,
    repeat_key text, detail bytea not null,
    primary key (org_id, project, domain, name)) with (fillfactor = 70)`,
  "create index run_by_time on run (org_id, created_at_ms, project, domain, name)",
  "create index run_open on run (org_id, project, domain, name) where ended_at_ms is null",
  `create table action (
    org_id text not null, project text not null, domain text not null, run text not null, name text not null,
    parent text not null, kind smallint not null, depth smallint not null, phase smallint not null,
    task_name text not null, task_version text not null, task_type text not null, spec_digest text,
    created_by text not null, created_at_ms bigint not null, started_at_ms bigint, ended_at_ms bigint,
    updated_at_ms bigint not null, not_before_ms bigint not null, attempts text not null,
    detail bytea not null, outcome bytea,
    primary key (org_id, project, domain, run, name)) with (fillfactor = 60)`,
  "create index action_by_time on action (org_id, project, domain, run, created_at_ms)",
  `create table task (
    org_id text not null, project text not null, domain text not null, name text not null, version text not null,
    spec_digest text not null, deployed_by text not null, deployed_at_ms bigint not null, detail bytea not null,
    primary key (org_id, project, domain, name, version))`,
  `create table repeat_key (
    org_id text not null, key text not null, project text not null, domain text not null, run text not null,
    created_at_ms bigint not null, primary key (org_id, key))`,
  "create index repeat_key_by_time on repeat_key (org_id, created_at_ms)",
  `create table intent_nonce (
    org_id text not null, nonce text not null, project text not null, domain text not null, run text not null,
    fence bigint not null, expires_at_ms bigint not null, primary key (org_id, nonce))`,
];

const tables = ["incarnation", "outbox", "document", "run", "action", "task", "repeat_key", "intent_nonce"];

export async function createRunsTables(kysely: Kysely<unknown>, role: string): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(kysely);
  for (const table of tables) await protectTable(kysely, table, role);
}
