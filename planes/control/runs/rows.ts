/** Projections as rows and back: the whole of what the index holds about work (claim CLS-6). */

import {
  type ActionProjection,
  ActionProjectionSchema,
  type AttemptProjection,
  AttemptProjectionSchema,
  type RunProjection,
  RunProjectionSchema,
  type RunRef,
  RunRefSchema,
} from "@biplane/control-wire";
import { create } from "@bufbuild/protobuf";
import { type Timestamp, timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import type { Insertable, Selectable } from "kysely";
import type { Store } from "../store/open.ts";
import type { ActionTable, AttemptTable, RunTable } from "../store/schema.ts";

export type RunRow = Selectable<RunTable>;
type Order<Table, Extra extends keyof Table> = Omit<Insertable<Table>, "org_id" | Extra>;

/** What a projection says; the caller adds how the index came to know it. */
type RunFacts = Order<
  RunTable,
  | "incarnation"
  | "admitted_sequence"
  | "seen_in"
  | "fence"
  | "intent_nonce"
  | "intent_expires_at"
  | "intent_outcome"
>;

export function runFacts(store: Store, org: string, cluster: string, run: RunProjection): RunFacts {
  const key = runKey(run.run);
  return {
    ...key,
    cluster,
    document_digest: run.documentDigest,
    task_project: run.task?.project ?? "",
    task_domain: run.task?.domain ?? "",
    task_name: run.task?.name ?? "",
    task_version: run.task?.version ?? "",
    created_by_sealed: store.seal(createdByPlace(org, key), run.createdBy),
    phase: run.phase,
    created_at: toMs(run.createdAt) ?? 0,
    started_at: toMs(run.startedAt),
    ended_at: toMs(run.endedAt),
    failure_code: run.failureCode,
    failure_kind: run.failureKind,
  };
}

export function runProjection(store: Store, row: RunRow): RunProjection {
  const org = row.org_id;
  const { project, domain, name } = row;
  return create(RunProjectionSchema, {
    run: { org, project, domain, name },
    documentDigest: row.document_digest,
    cluster: row.cluster,
    task: {
      org: row.task_name === "" ? "" : org,
      project: row.task_project,
      domain: row.task_domain,
      name: row.task_name,
      version: row.task_version,
    },
    createdBy: openCreatedBy(store, row),
    phase: row.phase,
    createdAt: toTimestamp(row.created_at),
    startedAt: toTimestamp(row.started_at),
    endedAt: toTimestamp(row.ended_at),
    failureCode: row.failure_code,
    failureKind: row.failure_kind,
  });
}

export function openCreatedBy(
  store: Store,
  row: Pick<RunRow, "org_id" | "project" | "domain" | "name" | "created_by_sealed">,
): string {
  return store.open(createdByPlace(row.org_id, row), row.created_by_sealed);
}

export function actionFacts(action: ActionProjection): Order<ActionTable, "seen_in"> {
  return {
    ...ofRun(action.run),
    name: action.name,
    parent: action.parent,
    kind: action.kind,
    task_name: action.taskName,
    task_version: action.taskVersion,
    attempt: action.attempt,
    created_at: toMs(action.createdAt),
    ...outcomeOf(action),
  };
}

export function actionProjection(row: Selectable<ActionTable>): ActionProjection {
  return create(ActionProjectionSchema, {
    run: refOf(row),
    name: row.name,
    parent: row.parent,
    kind: row.kind,
    taskName: row.task_name,
    taskVersion: row.task_version,
    phase: row.phase,
    attempt: row.attempt,
    createdAt: toTimestamp(row.created_at),
    startedAt: toTimestamp(row.started_at),
    endedAt: toTimestamp(row.ended_at),
    failureCode: row.failure_code,
    failureKind: row.failure_kind,
  });
}

export function attemptFacts(attempt: AttemptProjection): Order<AttemptTable, never> {
  return {
    ...ofRun(attempt.run),
    action: attempt.action,
    attempt: attempt.attempt,
    ...outcomeOf(attempt),
  };
}

export function attemptProjection(row: Selectable<AttemptTable>): AttemptProjection {
  return create(AttemptProjectionSchema, {
    run: refOf(row),
    action: row.action,
    attempt: row.attempt,
    phase: row.phase,
    startedAt: toTimestamp(row.started_at),
    endedAt: toTimestamp(row.ended_at),
    failureCode: row.failure_code,
    failureKind: row.failure_kind,
  });
}

export interface RunKey {
  readonly project: string;
  readonly domain: string;
  readonly name: string;
}

export function runKey(run: RunRef | undefined): RunKey {
  return { project: run?.project ?? "", domain: run?.domain ?? "", name: run?.name ?? "" };
}

/** Names never hold a slash where they are keys of runs: DNS labels. */
export function keyText(key: RunKey): string {
  return `${key.project}/${key.domain}/${key.name}`;
}

export function runRef(org: string, key: RunKey): RunRef {
  return create(RunRefSchema, { org, project: key.project, domain: key.domain, name: key.name });
}

export function toMs(timestamp: Timestamp | undefined): number | null {
  return timestamp === undefined ? null : timestampMs(timestamp);
}

export function toTimestamp(ms: number | null): Timestamp | undefined {
  return ms === null ? undefined : timestampFromMs(ms);
}

function outcomeOf(one: ActionProjection | AttemptProjection) {
  return {
    phase: one.phase,
    started_at: toMs(one.startedAt),
    ended_at: toMs(one.endedAt),
    failure_code: one.failureCode,
    failure_kind: one.failureKind,
  };
}

function ofRun(run: RunRef | undefined) {
  const { name, ...scope } = runKey(run);
  return { ...scope, run: name };
}

function refOf(row: { org_id: string; project: string; domain: string; run: string }): RunRef {
  return runRef(row.org_id, { project: row.project, domain: row.domain, name: row.run });
}

function createdByPlace(org: string, key: RunKey) {
  return { org, table: "run", column: "created_by", key: [key.project, key.domain, key.name] } as const;
}
