/** Actions as rows: writing many at once, reading them, and turning rows into records. */
import type { ActionId, Digest, RunId } from "@biplane/base";
import { Phase } from "@biplane/control-wire";
import { type Selectable, sql, type Transaction } from "kysely";
import type { RetryPolicy } from "../runs/specs.ts";
import { noRetries } from "../runs/specs.ts";
import type { ActionKind, ActionRecord, RecordedAbort, RecordedFailure, Text } from "../runs/types.ts";
import { decodeAttempts, encodeAttempts, failureTexts } from "./attempt-column.ts";
import { type BulkColumn, BulkStatement, base64, type JsonRow, names, replaced, values } from "./bulk.ts";
import { optionalNumber } from "./run-rows.ts";
import type { ActionTable } from "./runs-tables.ts";
import type { DataSchema } from "./schema.ts";
import type { Sealer } from "./sealing.ts";

/** An action with what only the data plane's own engine needs. */
export interface StoredAction {
  readonly record: ActionRecord;
  /** 0 for the root action. */
  readonly depth: number;
  /** Kept beside the record: what says it, the specification, is under the customer's key. */
  readonly retry: RetryPolicy;
  /** A retry waits until then. */
  readonly notBeforeMs: number;
  readonly updatedAtMs: number;
}

interface ActionDetail {
  readonly group: string;
  readonly shortName: string;
  readonly environmentName: string;
  readonly inputUri: string;
  /** Of traces; that of tasks follows from the successful attempt. */
  readonly outputUri: string | undefined;
  /** Absent where there are none; no cap is null. */
  readonly retry?: Omit<RetryPolicy, "capMs"> & { readonly capMs: number | null };
}

interface ActionOutcome {
  readonly failure: RecordedFailure | undefined;
  readonly texts: readonly (Text | null)[];
  readonly abort: RecordedAbort | undefined;
}

const keyColumns: readonly BulkColumn[] = [
  { name: "org_id", type: "text" },
  { name: "project", type: "text" },
  { name: "domain", type: "text" },
  { name: "run", type: "text" },
  { name: "name", type: "text" },
];
const fixedColumns: readonly BulkColumn[] = [
  { name: "parent", type: "text" },
  { name: "kind", type: "int" },
  { name: "depth", type: "int" },
  { name: "task_name", type: "text" },
  { name: "task_version", type: "text" },
  { name: "task_type", type: "text" },
  { name: "spec_digest", type: "text" },
  { name: "created_by", type: "text" },
  { name: "created_at_ms", type: "bigint" },
  { name: "detail", type: "bytea" },
];
const changingColumns: readonly BulkColumn[] = [
  { name: "phase", type: "int" },
  { name: "started_at_ms", type: "bigint" },
  { name: "ended_at_ms", type: "bigint" },
  { name: "updated_at_ms", type: "bigint" },
  { name: "not_before_ms", type: "bigint" },
  { name: "attempts", type: "text" },
  { name: "outcome", type: "bytea" },
];
const successful: ReadonlySet<Phase> = new Set([Phase.SUCCEEDED, Phase.RECOVERED]);
const kinds: readonly ActionKind[] = ["task", "trace", "condition"];

const columns = [...keyColumns, ...fixedColumns, ...changingColumns];
/**
 * A conflict on the key finds the row: how an update with a join finds it is planned once, while the table may be empty,
 * and that plan reads every action of a run to change one.
 */
const upsert = new BulkStatement(
  columns,
  (rows) => sql`insert into action (${names(columns)}) select ${values(columns)} from ${rows}
    on conflict (${names(keyColumns)}) do update set ${replaced(changingColumns)}`,
);

/** New ones and changed ones. */
export async function writeActions(
  transaction: Transaction<DataSchema>,
  sealer: Sealer,
  actions: readonly StoredAction[],
): Promise<void> {
  const rows = actions.map((action) => ({
    ...keyOf(action.record),
    ...fixedOf(sealer, action),
    ...changingOf(sealer, action),
  }));
  await upsert.run(transaction, rows);
}

export async function readAction(
  transaction: Transaction<DataSchema>,
  sealer: Sealer,
  bucket: string,
  id: ActionId,
): Promise<ActionRecord | undefined> {
  const row = await ofRun(transaction, id).where("name", "=", id.action).executeTakeFirst();
  return row === undefined ? undefined : actionFromRow(sealer, bucket, row).record;
}

/** Parents before their children. */
export async function readActionsOfRun(
  transaction: Transaction<DataSchema>,
  sealer: Sealer,
  bucket: string,
  id: RunId,
  parent?: string,
): Promise<readonly StoredAction[]> {
  let query = ofRun(transaction, id).orderBy("depth").orderBy("created_at_ms").orderBy("name");
  if (parent !== undefined) query = query.where("parent", "=", parent);
  return (await query.execute()).map((row) => actionFromRow(sealer, bucket, row));
}

function ofRun(transaction: Transaction<DataSchema>, id: RunId) {
  return transaction
    .selectFrom("action")
    .selectAll()
    .where("org_id", "=", id.org)
    .where("project", "=", id.project)
    .where("domain", "=", id.domain)
    .where("run", "=", id.run);
}

export function actionFromRow(sealer: Sealer, bucket: string, row: Selectable<ActionTable>): StoredAction {
  const key = [row.project, row.domain, row.run, row.name];
  const id = {
    org: row.org_id,
    project: row.project,
    domain: row.domain,
    run: row.run,
    action: row.name,
  } as unknown as ActionId;
  const detail = sealer.openJson<ActionDetail>("action", "detail", key, row.detail);
  const outcome =
    row.outcome === null ? undefined : sealer.openJson<ActionOutcome>("action", "outcome", key, row.outcome);
  const attempts = decodeAttempts(bucket, id, row.attempts, outcome?.texts ?? []);
  const kind = kinds[row.kind] ?? "task";
  const succeeded = attempts.at(-1)?.phase === row.phase && successful.has(row.phase);
  return {
    depth: row.depth,
    retry:
      detail.retry === undefined ? noRetries : { ...detail.retry, capMs: detail.retry.capMs ?? Infinity },
    notBeforeMs: Number(row.not_before_ms),
    updatedAtMs: Number(row.updated_at_ms),
    record: {
      ...id,
      parent: row.parent,
      kind,
      group: detail.group,
      taskName: kind === "trace" ? detail.shortName : row.task_name,
      taskVersion: row.task_version,
      taskType: row.task_type,
      shortName: detail.shortName,
      environmentName: detail.environmentName,
      specDigest: (row.spec_digest ?? undefined) as Digest | undefined,
      inputUri: detail.inputUri,
      outputUri: detail.outputUri ?? (succeeded ? attempts.at(-1)?.outputPrefix : undefined),
      phase: row.phase,
      createdBy: row.created_by,
      createdAtMs: Number(row.created_at_ms),
      startedAtMs: optionalNumber(row.started_at_ms),
      endedAtMs: optionalNumber(row.ended_at_ms),
      attempts,
      failure: outcome?.failure,
      abort: outcome?.abort,
    },
  };
}

function keyOf(record: ActionRecord): JsonRow {
  return {
    org_id: record.org,
    project: record.project,
    domain: record.domain,
    run: record.run,
    name: record.action,
  };
}

function fixedOf(sealer: Sealer, { record, depth, retry }: StoredAction): JsonRow {
  const detail: ActionDetail = {
    group: record.group,
    shortName: record.shortName,
    environmentName: record.environmentName,
    inputUri: record.inputUri,
    outputUri: record.kind === "trace" ? record.outputUri : undefined,
    ...(retry.retries === 0
      ? {}
      : { retry: { ...retry, capMs: Number.isFinite(retry.capMs) ? retry.capMs : null } }),
  };
  return {
    parent: record.parent,
    kind: kinds.indexOf(record.kind),
    depth,
    // A step's name may be anything; it is sealed as the short name. Lists can't be filtered by it.
    task_name: record.kind === "trace" ? "" : record.taskName,
    task_version: record.taskVersion,
    task_type: record.taskType,
    spec_digest: record.specDigest ?? null,
    created_by: record.createdBy,
    created_at_ms: record.createdAtMs,
    detail: base64(sealer.sealJson("action", "detail", sealKey(record), detail)),
  };
}

function changingOf(sealer: Sealer, action: StoredAction): JsonRow {
  const { record } = action;
  return {
    phase: record.phase,
    started_at_ms: record.startedAtMs ?? null,
    ended_at_ms: record.endedAtMs ?? null,
    updated_at_ms: action.updatedAtMs,
    not_before_ms: action.notBeforeMs,
    attempts: encodeAttempts(record.attempts),
    outcome: sealOutcome(sealer, record),
  };
}

function sealOutcome(sealer: Sealer, record: ActionRecord): string | null {
  const { failure, abort, attempts } = record;
  const failed = attempts.some((attempt) => attempt.failure !== undefined);
  if (failure === undefined && abort === undefined && !failed) return null;
  const outcome: ActionOutcome = { failure, abort, texts: failureTexts(attempts) };
  return base64(sealer.sealJson("action", "outcome", sealKey(record), outcome));
}

function sealKey(record: ActionRecord): readonly string[] {
  return [record.project, record.domain, record.run, record.action];
}
