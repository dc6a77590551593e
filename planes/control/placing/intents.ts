/**
 * Intents: what asks a data plane to execute a run that it holds, by reference (rule of state 5). One is due for every
 * admitted run until its cluster has answered.
 */
import { randomBytes } from "node:crypto";
import { limits, minute } from "@biplane/base";
import {
  type Intent,
  type IntentAnswer,
  IntentOutcome,
  IntentSchema,
  Phase,
  type RunProjection,
  terminalPhases,
} from "@biplane/control-wire";
import { executeLater } from "@biplane/kit";
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { sql } from "kysely";
import { openCreatedBy, type RunKey, runKey, runRef } from "../runs/rows.ts";
import type { ControlTransaction, Store } from "../store/open.ts";

const lifetimeMs = limits.pendingRunMs + 5 * minute;
/** A clock that is far off would have every intent expire: then the run fails in place of trying for ever. */
const fenceMax = 10;

/** Columns of a run whose intent is due; the fence grows with each new placing. */
export function newIntent(fenceBefore: number | undefined, nowMs: number) {
  return {
    fence: (fenceBefore ?? 0) + 1,
    intent_nonce: new Uint8Array(randomBytes(16)),
    intent_expires_at: nowMs + lifetimeMs,
    intent_outcome: null,
  };
}

export interface IntentScope {
  readonly store: Store;
  readonly transaction: ControlTransaction;
  readonly org: string;
  readonly cluster: string;
  readonly nowMs: number;
}

/** Where a page of due intents ended. */
export type DuePosition = Pick<DueRow, "created_at" | "project" | "domain" | "name">;

/** Intents that no answer came for, oldest first. What expired in the meantime is placed anew. */
export async function dueIntents(
  scope: IntentScope,
  limit: number,
  after: DuePosition | undefined,
): Promise<{ intents: readonly Intent[]; next: DuePosition | undefined }> {
  if (after === undefined) await renewExpired(scope);
  let query = dueRows(scope);
  if (after !== undefined) {
    query = query.where(
      sql<boolean>`(created_at, project, domain, name)
        > (${after.created_at}, ${after.project}, ${after.domain}, ${after.name})`,
    );
  }
  const rows = await query
    .orderBy("created_at")
    .orderBy("project")
    .orderBy("domain")
    .orderBy("name")
    .limit(limit)
    .execute();
  return {
    intents: rows.map((row) => intentOf(scope.store, row)),
    next: rows.length < limit ? undefined : rows.at(-1),
  };
}

/** Due intents of these runs: what was just placed anew. */
export async function dueIntentsOf(scope: IntentScope, keys: readonly RunKey[]): Promise<Intent[]> {
  if (keys.length === 0) return [];
  const names = keys.map((key) => key.name);
  const wanted = new Set(keys.map((key) => JSON.stringify([key.project, key.domain, key.name])));
  const rows = await dueRows(scope).where("name", "in", names).execute();
  return rows
    .filter((row) => wanted.has(JSON.stringify([row.project, row.domain, row.name])))
    .map((row) => intentOf(scope.store, row));
}

function dueRows({ transaction, org, cluster }: IntentScope) {
  return transaction
    .selectFrom("run")
    .selectAll()
    .where((where) => where.and({ org_id: org, cluster }))
    .where("fence", "is not", null)
    .where("intent_outcome", "is", null)
    .where("phase", "not in", [...terminalPhases]);
}

type DueRow = Awaited<ReturnType<ReturnType<typeof dueRows>["execute"]>>[number];

function intentOf(store: Store, row: DueRow): Intent {
  return create(IntentSchema, {
    run: runRef(row.org_id, row),
    documentDigest: row.document_digest,
    cluster: row.cluster,
    fence: BigInt(row.fence ?? 0),
    createdBy: openCreatedBy(store, row),
    expiresAt: timestampFromMs(row.intent_expires_at ?? 0),
    nonce: row.intent_nonce ?? new Uint8Array(),
  });
}

/** The intent of a run that was admitted just now, from what was written for it. */
export function intentFor(
  run: RunProjection,
  cluster: string,
  columns: ReturnType<typeof newIntent>,
): Intent {
  return create(IntentSchema, {
    ...(run.run === undefined ? {} : { run: run.run }),
    documentDigest: run.documentDigest,
    cluster,
    fence: BigInt(columns.fence),
    createdBy: run.createdBy,
    expiresAt: timestampFromMs(columns.intent_expires_at),
    nonce: columns.intent_nonce,
  });
}

async function renewExpired(scope: IntentScope): Promise<void> {
  const expired = await dueRows(scope).where("intent_expires_at", "<=", scope.nowMs).execute();
  for (const row of expired) await placeAgain(scope, row, row.fence ?? 0);
}

async function placeAgain(scope: IntentScope, key: RunKey, fence: number): Promise<void> {
  await scope.transaction
    .updateTable("run")
    .set(newIntent(fence, scope.nowMs))
    .where((where) =>
      where.and({ org_id: scope.org, project: key.project, domain: key.domain, name: key.name }),
    )
    .execute();
}

/** What each answer means for the index. `failed`: the data plane holds nothing that it could run. */
const meaning: Readonly<Record<IntentOutcome, "settled" | "again" | "gone" | "failed" | "ignored">> = {
  [IntentOutcome.UNSPECIFIED]: "ignored",
  [IntentOutcome.ACCEPTED]: "settled",
  [IntentOutcome.REPLAYED]: "settled",
  [IntentOutcome.RUN_ENDED]: "settled",
  [IntentOutcome.EXPIRED]: "again",
  [IntentOutcome.STALE_FENCE]: "again",
  [IntentOutcome.WITHDRAWN]: "gone",
  [IntentOutcome.DOCUMENT_MISSING]: "failed",
  [IntentOutcome.DIGEST_MISMATCH]: "failed",
  [IntentOutcome.WRONG_CLUSTER]: "failed",
  [IntentOutcome.WRONG_ORGANIZATION]: "failed",
  [IntentOutcome.LIVES_TOO_LONG]: "failed",
  [IntentOutcome.SUBJECT_MISMATCH]: "failed",
};

/** Records answers. Returns the runs whose intents have to be sent anew. An answer to an older fence means nothing. */
export async function recordAnswers(
  scope: IntentScope,
  answers: readonly IntentAnswer[],
): Promise<readonly RunKey[]> {
  await settle(
    scope,
    answers.filter((answer) => meaning[answer.outcome] === "settled"),
  );
  const again: RunKey[] = [];
  for (const answer of answers) {
    const kind = meaning[answer.outcome];
    if (kind === "gone") await forget(scope, answer);
    if (kind === "failed") await fail(scope, answer);
    if (kind === "again" && (await tryAgain(scope, answer))) again.push(runKey(answer.run));
  }
  return again;
}

/** One statement for all of them: a fan-out of runs answers by the hundred. */
async function settle(scope: IntentScope, answers: readonly IntentAnswer[]): Promise<void> {
  if (answers.length === 0) return;
  const keys = answers.map((answer) => runKey(answer.run));
  const query = sql`update run set intent_outcome = answer.outcome
    from unnest(
      ${keys.map((key) => key.project)}::text[], ${keys.map((key) => key.domain)}::text[],
      ${keys.map((key) => key.name)}::text[], ${answers.map((answer) => Number(answer.fence))}::bigint[],
      ${answers.map((answer) => answer.outcome)}::integer[]
    ) as answer (project, domain, name, fence, outcome)
    where run.org_id = ${scope.org} and run.cluster = ${scope.cluster} and run.project = answer.project
      and run.domain = answer.domain and run.name = answer.name and run.fence = answer.fence`;
  await executeLater(scope.transaction, query.compile(scope.transaction));
}

function answered(scope: IntentScope, answer: IntentAnswer) {
  return {
    org_id: scope.org,
    cluster: scope.cluster,
    ...runKey(answer.run),
    fence: Number(answer.fence),
  };
}

/** The data plane withdrew the run before it was admitted: its name is free again (rule of state 3). */
async function forget(scope: IntentScope, answer: IntentAnswer): Promise<void> {
  await scope.transaction
    .deleteFrom("run")
    .where((where) => where.and(answered(scope, answer)))
    .execute();
}

async function fail(scope: IntentScope, answer: IntentAnswer): Promise<void> {
  await scope.transaction
    .updateTable("run")
    .set({
      intent_outcome: answer.outcome,
      phase: Phase.FAILED,
      ended_at: scope.nowMs,
      failure_code: IntentOutcome[answer.outcome].toLowerCase(),
    })
    .where((where) => where.and(answered(scope, answer)))
    .where("phase", "not in", [...terminalPhases])
    .execute();
}

async function tryAgain(scope: IntentScope, answer: IntentAnswer): Promise<boolean> {
  if (Number(answer.fence) >= fenceMax) {
    await fail(scope, answer);
    return false;
  }
  const row = await scope.transaction
    .selectFrom("run")
    .select("fence")
    .where((where) => where.and(answered(scope, answer)))
    .executeTakeFirst();
  if (row === undefined) return false;
  await placeAgain(scope, runKey(answer.run), Number(answer.fence));
  return true;
}
