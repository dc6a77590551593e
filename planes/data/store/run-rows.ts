/** Runs as rows: writing many at once, reading one, and turning rows into records. */
import type { Digest, OrgId, RunId } from "@biplane/base";
import { type Selectable, sql, type Transaction } from "kysely";
import type { ObjectPin, RunRecord } from "../runs/types.ts";
import { type BulkColumn, BulkStatement, base64, type JsonRow, names, replaced, values } from "./bulk.ts";
import type { RunTable } from "./runs-tables.ts";
import type { DataSchema } from "./schema.ts";
import type { Sealer } from "./sealing.ts";

/** A run with what only the data plane's own engine needs. */
export interface StoredRun {
  readonly record: RunRecord;
  /** The control plane admitted it; where nobody waited for that, only a repeat starts it (rule of state 3). */
  readonly granted: boolean;
  /** Of the accepted intent; 0 before. */
  readonly fence: bigint;
  readonly taskSpecDigest: Digest;
  readonly runSpecDigest: Digest;
  readonly inputUri: string;
  readonly pins: readonly ObjectPin[];
  readonly runStartTimeMs: number;
  readonly repeatKey: string | undefined;
  /** 0: no limit. */
  readonly actionConcurrencyMax: number;
  readonly failureCode: string | undefined;
  readonly failureKind: "user" | "system" | undefined;
  readonly updatedAtMs: number;
}

interface RunDetail {
  readonly labels: Readonly<Record<string, string>>;
  readonly inputUri: string;
  readonly pins: readonly ObjectPin[];
}

const columns: readonly BulkColumn[] = [
  { name: "org_id", type: "text" },
  { name: "project", type: "text" },
  { name: "domain", type: "text" },
  { name: "name", type: "text" },
  { name: "admission", type: "text" },
  { name: "granted", type: "boolean" },
  { name: "fence", type: "bigint" },
  { name: "phase", type: "int" },
  { name: "document_digest", type: "text" },
  { name: "task_spec_digest", type: "text" },
  { name: "run_spec_digest", type: "text" },
  { name: "task_name", type: "text" },
  { name: "task_version", type: "text" },
  { name: "source", type: "int" },
  { name: "created_by", type: "text" },
  { name: "action_concurrency_max", type: "int" },
  { name: "failure_code", type: "text" },
  { name: "failure_kind", type: "text" },
  { name: "run_start_ms", type: "bigint" },
  { name: "created_at_ms", type: "bigint" },
  { name: "started_at_ms", type: "bigint" },
  { name: "ended_at_ms", type: "bigint" },
  { name: "updated_at_ms", type: "bigint" },
  { name: "repeat_key", type: "text" },
  { name: "detail", type: "bytea" },
];
const keyColumns = new Set(["org_id", "project", "domain", "name"]);
const changingColumns = columns.filter(({ name }) => !keyColumns.has(name));
const upsert = new BulkStatement(
  columns,
  (rows) => sql`insert into run (${names(columns)}) select ${values(columns)} from ${rows}
    on conflict (org_id, project, domain, name) do update set ${replaced(changingColumns)}`,
);

export async function upsertRuns(
  transaction: Transaction<DataSchema>,
  sealer: Sealer,
  runs: readonly StoredRun[],
): Promise<void> {
  const rows = runs.map((run) => toRow(sealer, run));
  await upsert.run(transaction, rows);
}

export async function deleteRuns(
  transaction: Transaction<DataSchema>,
  runs: readonly RunId[],
): Promise<void> {
  for (const run of runs) {
    for (const [table, column] of [["action", "run"] as const, ["run", "name"] as const]) {
      await sql`delete from ${sql.table(table)} where org_id = ${run.org} and project = ${run.project}
        and domain = ${run.domain} and ${sql.id(column)} = ${run.run}`.execute(transaction);
    }
  }
}

export async function readRun(
  transaction: Transaction<DataSchema>,
  sealer: Sealer,
  id: RunId,
): Promise<StoredRun | undefined> {
  const row = await transaction
    .selectFrom("run")
    .selectAll()
    .where("org_id", "=", id.org)
    .where("project", "=", id.project)
    .where("domain", "=", id.domain)
    .where("name", "=", id.run)
    .executeTakeFirst();
  return row === undefined ? undefined : runFromRow(sealer, row);
}

/** Runs that have not ended, pending ones included. */
export async function readOpenRuns(
  transaction: Transaction<DataSchema>,
  sealer: Sealer,
  org: OrgId,
): Promise<readonly StoredRun[]> {
  const rows = await transaction
    .selectFrom("run")
    .selectAll()
    .where("org_id", "=", org)
    .where("ended_at_ms", "is", null)
    .execute();
  return rows.map((row) => runFromRow(sealer, row));
}

/** In the order of their keys, after the one given. */
export async function readRunsAfter(
  transaction: Transaction<DataSchema>,
  sealer: Sealer,
  org: OrgId,
  after: RunId | undefined,
  limit: number,
): Promise<readonly StoredRun[]> {
  let query = transaction.selectFrom("run").selectAll().where("org_id", "=", org);
  if (after !== undefined) {
    const { project, domain, run } = after;
    query = query.where(({ eb, refTuple, tuple }) =>
      eb(refTuple("project", "domain", "name"), ">", tuple<string, string, string>(project, domain, run)),
    );
  }
  const rows = await query.orderBy("project").orderBy("domain").orderBy("name").limit(limit).execute();
  return rows.map((row) => runFromRow(sealer, row));
}

export function runFromRow(sealer: Sealer, row: Selectable<RunTable>): StoredRun {
  const key = [row.project, row.domain, row.name];
  const detail = sealer.openJson<RunDetail>("run", "detail", key, row.detail);
  return {
    record: recordFromRow(row, detail),
    granted: row.granted,
    fence: BigInt(row.fence),
    taskSpecDigest: row.task_spec_digest as Digest,
    runSpecDigest: row.run_spec_digest as Digest,
    inputUri: detail.inputUri,
    pins: detail.pins,
    runStartTimeMs: Number(row.run_start_ms),
    repeatKey: row.repeat_key ?? undefined,
    actionConcurrencyMax: row.action_concurrency_max,
    failureCode: row.failure_code ?? undefined,
    failureKind: (row.failure_kind ?? undefined) as StoredRun["failureKind"],
    updatedAtMs: Number(row.updated_at_ms),
  };
}

function recordFromRow(row: Selectable<RunTable>, detail: RunDetail): RunRecord {
  return {
    ...({ org: row.org_id, project: row.project, domain: row.domain, run: row.name } as unknown as RunId),
    admission: row.admission as RunRecord["admission"],
    documentDigest: row.document_digest as Digest,
    phase: row.phase,
    createdBy: row.created_by,
    createdAtMs: Number(row.created_at_ms),
    startedAtMs: optionalNumber(row.started_at_ms),
    endedAtMs: optionalNumber(row.ended_at_ms),
    taskName: row.task_name,
    taskVersion: row.task_version,
    labels: detail.labels,
    source: row.source,
  };
}

export function optionalNumber(value: string | number | bigint | null): number | undefined {
  return value === null ? undefined : Number(value);
}

function toRow(sealer: Sealer, run: StoredRun): JsonRow {
  const { record } = run;
  const detail: RunDetail = { labels: record.labels, inputUri: run.inputUri, pins: run.pins };
  const key = [record.project, record.domain, record.run];
  return {
    org_id: record.org,
    project: record.project,
    domain: record.domain,
    name: record.run,
    admission: record.admission,
    granted: run.granted,
    fence: run.fence.toString(),
    phase: record.phase,
    document_digest: record.documentDigest,
    task_spec_digest: run.taskSpecDigest,
    run_spec_digest: run.runSpecDigest,
    task_name: record.taskName,
    task_version: record.taskVersion,
    source: record.source,
    created_by: record.createdBy,
    action_concurrency_max: run.actionConcurrencyMax,
    failure_code: run.failureCode ?? null,
    failure_kind: run.failureKind ?? null,
    run_start_ms: run.runStartTimeMs,
    created_at_ms: record.createdAtMs,
    started_at_ms: record.startedAtMs ?? null,
    ended_at_ms: record.endedAtMs ?? null,
    updated_at_ms: run.updatedAtMs,
    repeat_key: run.repeatKey ?? null,
    detail: base64(sealer.sealJson("run", "detail", key, detail)),
  };
}
