/**
 * Admission of new runs. The primary key of `run` decides who has a name (rule of state 4): the first run keeps it, the
 * same run asking again is admitted again, any other is told that the name is taken.
 */
import { AdmissionOutcome, isTerminal, type RunProjection } from "@biplane/control-wire";
import { newIntent } from "../placing/intents.ts";
import type { ControlTransaction, Store } from "../store/open.ts";
import { keyText, type RunKey, type RunRow, runFacts, runKey } from "./rows.ts";

export interface Request {
  readonly sequence: number;
  readonly run: RunProjection;
}

export interface Verdict {
  readonly sequence: number;
  readonly key: RunKey;
  readonly outcome: AdmissionOutcome;
}

export interface AdmissionContext {
  readonly store: Store;
  readonly transaction: ControlTransaction;
  readonly org: string;
  readonly cluster: string;
  readonly incarnation: string;
  readonly seenIn: string;
  readonly nowMs: number;
}

/** Requests in the order of their events; one verdict for each. */
export async function admitRuns(
  context: AdmissionContext,
  requests: readonly Request[],
): Promise<readonly Verdict[]> {
  if (requests.length === 0) return [];
  const projects = await findProjects(context, requests);
  const verdicts = new Map<number, AdmissionOutcome>();
  const candidates: Request[] = [];
  for (const request of requests) {
    const refusal = refusalOf(projects.get(request.run.run?.project ?? ""));
    if (refusal === undefined) candidates.push(request);
    else verdicts.set(request.sequence, refusal);
  }
  for (const [sequence, outcome] of await claimNames(context, candidates)) verdicts.set(sequence, outcome);
  const all = requests.map(({ sequence, run }) => ({
    sequence,
    key: runKey(run.run),
    outcome: verdicts.get(sequence)!,
  }));
  await rememberRefusals(context, all);
  return all;
}

async function findProjects({ transaction, org }: AdmissionContext, requests: readonly Request[]) {
  const ids = [...new Set(requests.map((request) => request.run.run?.project ?? ""))];
  const rows = await transaction
    .selectFrom("project")
    .select(["id", "archived"])
    .where("org_id", "=", org)
    .where("id", "in", ids)
    .execute();
  return new Map(rows.map((row) => [row.id, row]));
}

function refusalOf(project: { archived: boolean } | undefined): AdmissionOutcome | undefined {
  if (project === undefined) return AdmissionOutcome.UNKNOWN_PROJECT;
  return project.archived ? AdmissionOutcome.PROJECT_ARCHIVED : undefined;
}

async function claimNames(context: AdmissionContext, requests: readonly Request[]) {
  const outcomes = new Map<number, AdmissionOutcome>();
  const firsts = new Map<string, Request>();
  for (const request of requests) {
    const text = keyText(runKey(request.run.run));
    const first = firsts.get(text);
    if (first === undefined) firsts.set(text, request);
    else outcomes.set(request.sequence, sameRun(first.run, request.run));
  }
  const inserted = await insertRuns(context, [...firsts.values()]);
  for (const [text, request] of firsts) {
    const outcome = inserted.has(text) ? AdmissionOutcome.ADMITTED : await askAgain(context, request);
    outcomes.set(request.sequence, outcome);
  }
  return outcomes;
}

function sameRun(first: RunProjection, second: RunProjection): AdmissionOutcome {
  const same = Buffer.from(first.documentDigest).equals(second.documentDigest);
  return same ? AdmissionOutcome.ADMITTED : AdmissionOutcome.ALREADY_EXISTS;
}

async function insertRuns(context: AdmissionContext, requests: readonly Request[]): Promise<Set<string>> {
  if (requests.length === 0) return new Set();
  const { store, transaction, org, cluster, incarnation, seenIn, nowMs } = context;
  const rows = requests.map(({ sequence, run }) => ({
    org_id: org,
    ...runFacts(store, org, cluster, run),
    incarnation,
    admitted_sequence: sequence,
    seen_in: seenIn,
    ...newIntent(undefined, nowMs),
  }));
  const inserted = await transaction
    .insertInto("run")
    .values(rows)
    .onConflict((conflict) => conflict.columns(["org_id", "project", "domain", "name"]).doNothing())
    .returning(["project", "domain", "name"])
    .execute();
  return new Set(inserted.map(keyText));
}

/** The name is taken. By this very run, asking again after a restore: admitted with a new fence. */
async function askAgain(context: AdmissionContext, { sequence, run }: Request): Promise<AdmissionOutcome> {
  const { transaction, org, incarnation, seenIn, nowMs } = context;
  const key = runKey(run.run);
  const row = await transaction
    .selectFrom("run")
    .select(["cluster", "document_digest", "phase", "fence"])
    .where((where) => where.and({ org_id: org, ...key }))
    .executeTakeFirstOrThrow();
  if (!isSame(context, run, row)) return AdmissionOutcome.ALREADY_EXISTS;
  await transaction
    .updateTable("run")
    .set({
      incarnation,
      admitted_sequence: sequence,
      seen_in: seenIn,
      ...newIntent(row.fence ?? undefined, nowMs),
    })
    .where((where) => where.and({ org_id: org, ...key }))
    .execute();
  return AdmissionOutcome.ADMITTED;
}

function isSame(
  { cluster }: AdmissionContext,
  run: RunProjection,
  row: Pick<RunRow, "cluster" | "document_digest" | "phase">,
): boolean {
  if (row.cluster !== cluster || isTerminal(row.phase)) return false;
  return Buffer.from(row.document_digest).equals(run.documentDigest);
}

async function rememberRefusals(context: AdmissionContext, verdicts: readonly Verdict[]): Promise<void> {
  const refused = verdicts.filter((verdict) => verdict.outcome !== AdmissionOutcome.ADMITTED);
  if (refused.length === 0) return;
  const { transaction, org, cluster, incarnation } = context;
  const rows = refused.map(({ sequence, key, outcome }) => ({
    org_id: org,
    cluster,
    incarnation,
    sequence,
    project: key.project,
    domain: key.domain,
    run: key.name,
    outcome,
  }));
  await transaction.insertInto("refusal").values(rows).execute();
}
