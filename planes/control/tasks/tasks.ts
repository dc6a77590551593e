/** Names, versions and digests of deployed tasks; their specifications stay in the data plane. */

import { type ListTasksRequest, type TaskProjection, TaskProjectionSchema } from "@biplane/control-wire";
import { create } from "@bufbuild/protobuf";
import { type Selectable, sql } from "kysely";
import { toMs, toTimestamp } from "../runs/rows.ts";
import { cutPage, readPage } from "../store/cursors.ts";
import type { ControlTransaction, Store } from "../store/open.ts";
import { parts } from "../store/parts.ts";
import type { TaskTable } from "../store/schema.ts";

/** A version is deployed once; the first deployment's facts stay. */
export async function recordTasks(
  store: Store,
  transaction: ControlTransaction,
  org: string,
  tasks: readonly TaskProjection[],
): Promise<void> {
  for (const part of parts(tasks)) {
    await transaction
      .insertInto("task")
      .values(part.map((task) => rowOf(store, org, task)))
      .onConflict((conflict) => conflict.doNothing())
      .execute();
  }
}

/** By name, newest version first. */
export async function listTasks(store: Store, org: string, request: ListTasksRequest) {
  const { project, domain } = request;
  const scope = { org, list: "tasks", filters: [project, domain] };
  const page = readPage(store, scope, request.page);
  const rows = await store.asOrg(org, (transaction) => {
    let query = transaction.selectFrom("task").selectAll().where("org_id", "=", org);
    if (project !== "") query = query.where("project", "=", project);
    if (domain !== "") query = query.where("domain", "=", domain);
    if (page.after !== undefined) {
      const [name, negatedTime, ...rest] = page.after;
      query = query.where(
        sql<boolean>`(name, -deployed_at, project, domain, version) > (${sql.join([name, negatedTime, ...rest])})`,
      );
    }
    return query
      .orderBy("name")
      .orderBy("deployed_at", "desc")
      .orderBy("project")
      .orderBy("domain")
      .orderBy("version")
      .limit(page.limit + 1)
      .execute();
  });
  const cut = cutPage(store, scope, page, rows, (row) => [
    row.name,
    -row.deployed_at,
    row.project,
    row.domain,
    row.version,
  ]);
  return { tasks: cut.items.map((row) => projectionOf(store, row)), nextCursor: cut.nextCursor };
}

function rowOf(store: Store, org: string, task: TaskProjection) {
  const { project, domain, name, version } = task.task ?? { project: "", domain: "", name: "", version: "" };
  const key = { project, domain, name, version };
  return {
    org_id: org,
    ...key,
    deployed_at: toMs(task.deployedAt) ?? 0,
    deployed_by_sealed: store.seal(deployedByPlace(org, key), task.deployedBy),
    spec_digest: task.specDigest,
  };
}

function projectionOf(store: Store, row: Selectable<TaskTable>): TaskProjection {
  const { org_id: org, project, domain, name, version } = row;
  return create(TaskProjectionSchema, {
    task: { org, project, domain, name, version },
    deployedAt: toTimestamp(row.deployed_at),
    deployedBy: store.open(deployedByPlace(org, row), row.deployed_by_sealed),
    specDigest: row.spec_digest,
  });
}

function deployedByPlace(
  org: string,
  key: { project: string; domain: string; name: string; version: string },
) {
  return {
    org,
    table: "task",
    column: "deployed_by",
    key: [key.project, key.domain, key.name, key.version],
  } as const;
}
