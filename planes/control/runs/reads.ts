/** Reads of the index: runs, actions and attempts as they were last reported. */
import { BiplaneError } from "@biplane/base";
import {
  type ListActionsRequest,
  type ListAttemptsRequest,
  type ListRunsRequest,
  PhaseCountSchema,
  type RunRef,
} from "@biplane/control-wire";
import { create } from "@bufbuild/protobuf";
import { sql } from "kysely";
import { cutPage, readPage } from "../store/cursors.ts";
import type { ControlTransaction, Store } from "../store/open.ts";
import { actionProjection, attemptProjection, type RunKey, runKey, runProjection } from "./rows.ts";

export async function getRun(store: Store, org: string, ref: RunRef | undefined) {
  const key = runKey(ref);
  return store.asOrg(org, async (transaction) => {
    const row = await requireRun(transaction, org, key);
    const counts = await transaction
      .selectFrom("action")
      .select(["phase", (select) => select.fn.countAll<number>().as("count")])
      .where((where) => where.and({ org_id: org, ...ofRun(key) }))
      .groupBy("phase")
      .orderBy("phase")
      .execute();
    const phaseCounts = counts.map(({ phase, count }) =>
      create(PhaseCountSchema, { phase, count: BigInt(count) }),
    );
    return { run: runProjection(store, row), phaseCounts };
  });
}

/** Newest first. */
export async function listRuns(store: Store, org: string, request: ListRunsRequest) {
  const { project, domain, phases, cluster } = request;
  const scope = { org, list: "runs", filters: [project, domain, phases, cluster] };
  const page = readPage(store, scope, request.page);
  const rows = await store.asOrg(org, (transaction) => {
    let query = transaction.selectFrom("run").selectAll().where("org_id", "=", org);
    if (project !== "") query = query.where("project", "=", project);
    if (domain !== "") query = query.where("domain", "=", domain);
    if (cluster !== "") query = query.where("cluster", "=", cluster);
    if (phases.length > 0) query = query.where("phase", "in", phases);
    if (page.after !== undefined) {
      const [negatedTime, ...names] = page.after;
      // The first condition is what the index of times can use; the second one makes the order total.
      query = query
        .where("created_at", "<=", -Number(negatedTime))
        .where(sql<boolean>`(-created_at, project, domain, name) > (${sql.join([negatedTime, ...names])})`);
    }
    return query
      .orderBy("created_at", "desc")
      .orderBy("project")
      .orderBy("domain")
      .orderBy("name")
      .limit(page.limit + 1)
      .execute();
  });
  const cut = cutPage(store, scope, page, rows, (row) => [
    -row.created_at,
    row.project,
    row.domain,
    row.name,
  ]);
  return { runs: cut.items.map((row) => runProjection(store, row)), nextCursor: cut.nextCursor };
}

/** By name. */
export async function listActions(store: Store, org: string, request: ListActionsRequest) {
  const key = runKey(request.run);
  const scope = { org, list: "actions", filters: [key] };
  const page = readPage(store, scope, request.page);
  const rows = await store.asOrg(org, async (transaction) => {
    await requireRun(transaction, org, key);
    let query = transaction
      .selectFrom("action")
      .selectAll()
      .where((where) => where.and({ org_id: org, ...ofRun(key) }));
    if (page.after !== undefined) query = query.where("name", ">", String(page.after[0]));
    return query
      .orderBy("name")
      .limit(page.limit + 1)
      .execute();
  });
  const cut = cutPage(store, scope, page, rows, (row) => [row.name]);
  return { actions: cut.items.map(actionProjection), nextCursor: cut.nextCursor };
}

/** By action and attempt; of one action where the request names it. */
export async function listAttempts(store: Store, org: string, request: ListAttemptsRequest) {
  const key = runKey(request.run);
  const scope = { org, list: "attempts", filters: [key, request.action] };
  const page = readPage(store, scope, request.page);
  const rows = await store.asOrg(org, async (transaction) => {
    await requireRun(transaction, org, key);
    let query = transaction
      .selectFrom("attempt")
      .selectAll()
      .where((where) => where.and({ org_id: org, ...ofRun(key) }));
    if (request.action !== "") query = query.where("action", "=", request.action);
    if (page.after !== undefined) {
      query = query.where(sql<boolean>`(action, attempt) > (${sql.join([...page.after])})`);
    }
    return query
      .orderBy("action")
      .orderBy("attempt")
      .limit(page.limit + 1)
      .execute();
  });
  const cut = cutPage(store, scope, page, rows, (row) => [row.action, row.attempt]);
  return { attempts: cut.items.map(attemptProjection), nextCursor: cut.nextCursor };
}

export async function requireRun(transaction: ControlTransaction, org: string, key: RunKey) {
  const row = await transaction
    .selectFrom("run")
    .selectAll()
    .where((where) => where.and({ org_id: org, ...key }))
    .executeTakeFirst();
  if (row !== undefined) return row;
  throw new BiplaneError("not_found", {
    what: "There is no such run in the organization's index.",
    next: "Check the project, the domain and the name; a run is listed once it was admitted.",
  });
}

function ofRun({ project, domain, name }: RunKey) {
  return { project, domain, run: name };
}
