/**
 * Admission of new runs. The primary key of `run` decides who has a name (rule of state 4): the first run keeps it, the
 * same run asking again is admitted again, any other is told that the name is taken.
 */
import { isRegionAllowed } from "@biplane/base";
import { AdmissionOutcome, type Intent, isTerminal, type RunProjection } from "@biplane/control-wire";
import { intentFor, newIntent } from "../placing/intents.ts";
import { splitRegions } from "../projects/projects.ts";
import type { ControlTransaction, Store } from "../store/open.ts";
import { parts } from "../store/parts.ts";
import { keyText, type RunKey, type RunRow, runFacts, runKey } from "./rows.ts";

export interface Request {
  readonly sequence: number;
  readonly run: RunProjection;
}

export interface Verdict {
  readonly sequence: number;
  readonly key: RunKey;
  readonly outcome: AdmissionOutcome;
  /** Of an admitted run; it goes out after the admission. */
  readonly intent: Intent | undefined;
}
type Judgement = Pick<Verdict, "outcome" | "intent">;

interface AskedProject {
  readonly archived: boolean;
  readonly regions: string;
  /** Of the cluster, as it said when it connected. */
  readonly region: string | null;
  /** Where the organization lets the runs of all its projects be. */
  readonly regionsOfAll: string | null;
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
  const judgements = new Map<number, Judgement>();
  const candidates: Request[] = [];
  for (const request of requests) {
    const refusal = refusalOf(projects.get(request.run.run?.project ?? ""));
    if (refusal === undefined) candidates.push(request);
    else judgements.set(request.sequence, refused(refusal));
  }
  for (const [sequence, judgement] of await claimNames(context, candidates))
    judgements.set(sequence, judgement);
  const all = requests.map(({ sequence, run }) => ({
    sequence,
    key: runKey(run.run),
    ...judgements.get(sequence)!,
  }));
  await rememberRefusals(context, all);
  return all;
}

/** Each beside its organization and the cluster: a client waits for every question to the database. */
async function findProjects(
  { transaction, org, cluster }: AdmissionContext,
  requests: readonly Request[],
): Promise<ReadonlyMap<string, AskedProject>> {
  const ids = [...new Set(requests.map((request) => request.run.run?.project ?? ""))];
  const rows = await transaction
    .selectFrom("project")
    .leftJoin("cluster", (join) =>
      join.onRef("cluster.org_id", "=", "project.org_id").on("cluster.name", "=", cluster),
    )
    .leftJoin("organization", "organization.org_id", "project.org_id")
    .select(["project.id", "project.archived", "project.regions", "cluster.region"])
    .select("organization.regions as regionsOfAll")
    .where("project.org_id", "=", org)
    .where("project.id", "in", ids)
    .execute();
  return new Map(rows.map((row) => [row.id, row]));
}

function refusalOf(project: AskedProject | undefined): AdmissionOutcome | undefined {
  if (project === undefined) return AdmissionOutcome.UNKNOWN_PROJECT;
  if (project.archived) return AdmissionOutcome.PROJECT_ARCHIVED;
  const bounds = [project.regions, project.regionsOfAll ?? ""].map(splitRegions);
  const isAllowed = isRegionAllowed(project.region ?? "", ...bounds);
  return isAllowed ? undefined : AdmissionOutcome.REGION_NOT_ALLOWED;
}

async function claimNames(context: AdmissionContext, requests: readonly Request[]) {
  const judgements = new Map<number, Judgement>();
  const firsts = new Map<string, Request>();
  for (const request of requests) {
    const text = keyText(runKey(request.run.run));
    const first = firsts.get(text);
    if (first === undefined) firsts.set(text, request);
    else judgements.set(request.sequence, sameRun(first.run, request.run));
  }
  for (const part of parts([...firsts])) {
    const inserted = await insertRuns(
      context,
      part.map(([, request]) => request),
    );
    for (const [text, request] of part) {
      judgements.set(request.sequence, inserted.get(text) ?? (await askAgain(context, request)));
    }
  }
  return judgements;
}

function refused(outcome: AdmissionOutcome): Judgement {
  return { outcome, intent: undefined };
}

/** Two requests of one batch for one name: the first one's intent serves both where they are the same run. */
function sameRun(first: RunProjection, second: RunProjection): Judgement {
  const same = Buffer.from(first.documentDigest).equals(second.documentDigest);
  return refused(same ? AdmissionOutcome.ADMITTED : AdmissionOutcome.ALREADY_EXISTS);
}

/** Those whose names were free. */
async function insertRuns(
  context: AdmissionContext,
  requests: readonly Request[],
): Promise<Map<string, Judgement>> {
  const { store, transaction, org, cluster, incarnation, seenIn, nowMs } = context;
  const placed = requests.map((request) => ({ ...request, columns: newIntent(undefined, nowMs) }));
  const rows = placed.map(({ sequence, run, columns }) => ({
    org_id: org,
    ...runFacts(store, org, cluster, run),
    incarnation,
    admitted_sequence: sequence,
    seen_in: seenIn,
    ...columns,
  }));
  const inserted = await transaction
    .insertInto("run")
    .values(rows)
    .onConflict((conflict) => conflict.columns(["org_id", "project", "domain", "name"]).doNothing())
    .returning(["project", "domain", "name"])
    .execute();
  const free = new Set(inserted.map(keyText));
  const admitted = placed.map(({ run, columns }) => {
    const judgement = { outcome: AdmissionOutcome.ADMITTED, intent: intentFor(run, cluster, columns) };
    return [keyText(runKey(run.run)), judgement] as const;
  });
  return new Map(admitted.filter(([text]) => free.has(text)));
}

/** The name is taken. By this very run, asking again after a restore: admitted with a new fence. */
async function askAgain(context: AdmissionContext, { sequence, run }: Request): Promise<Judgement> {
  const { transaction, org, cluster, incarnation, seenIn, nowMs } = context;
  const key = runKey(run.run);
  const row = await transaction
    .selectFrom("run")
    .select(["cluster", "document_digest", "phase", "fence"])
    .where((where) => where.and({ org_id: org, ...key }))
    .executeTakeFirstOrThrow();
  if (!isSame(context, run, row)) return refused(AdmissionOutcome.ALREADY_EXISTS);
  const columns = newIntent(row.fence ?? undefined, nowMs);
  await transaction
    .updateTable("run")
    .set({
      incarnation,
      admitted_sequence: sequence,
      seen_in: seenIn,
      ...columns,
    })
    .where((where) => where.and({ org_id: org, ...key }))
    .execute();
  return { outcome: AdmissionOutcome.ADMITTED, intent: intentFor(run, cluster, columns) };
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
  for (const part of parts(rows))
    await transaction
      .insertInto("refusal")
      .values([...part])
      .execute();
}
