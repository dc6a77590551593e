/** Deployed tasks as rows; their specifications are documents. */
import type { Digest, OrgId, TaskId } from "@biplane/base";
import type { Selectable, Transaction } from "kysely";
import type { TaskTable } from "./runs-tables.ts";
import type { DataSchema } from "./schema.ts";
import type { Sealer } from "./sealing.ts";

export interface StoredTask extends TaskId {
  readonly specDigest: Digest;
  readonly deployedBy: string;
  readonly deployedAtMs: number;
  readonly shortName: string;
  readonly environmentName: string;
}

interface TaskDetail {
  readonly shortName: string;
  readonly environmentName: string;
}

/** Keeps the first where the task was deployed before. */
export async function insertTasks(
  transaction: Transaction<DataSchema>,
  sealer: Sealer,
  tasks: readonly StoredTask[],
): Promise<void> {
  for (const task of tasks) {
    const detail: TaskDetail = { shortName: task.shortName, environmentName: task.environmentName };
    await transaction
      .insertInto("task")
      .values({
        org_id: task.org,
        project: task.project,
        domain: task.domain,
        name: task.name,
        version: task.version,
        spec_digest: task.specDigest,
        deployed_by: task.deployedBy,
        deployed_at_ms: task.deployedAtMs,
        detail: Buffer.from(sealer.sealJson("task", "detail", sealKey(task), detail)),
      })
      .onConflict((conflict) => conflict.doNothing())
      .execute();
  }
}

export async function readTask(
  transaction: Transaction<DataSchema>,
  sealer: Sealer,
  id: TaskId,
): Promise<StoredTask | undefined> {
  const row = await transaction
    .selectFrom("task")
    .selectAll()
    .where("org_id", "=", id.org)
    .where("project", "=", id.project)
    .where("domain", "=", id.domain)
    .where("name", "=", id.name)
    .where("version", "=", id.version)
    .executeTakeFirst();
  return row === undefined ? undefined : taskFromRow(sealer, row);
}

/** In the order of their keys, after the one given. */
export async function readTasksAfter(
  transaction: Transaction<DataSchema>,
  sealer: Sealer,
  org: OrgId,
  after: TaskId | undefined,
  limit: number,
): Promise<readonly StoredTask[]> {
  let query = transaction.selectFrom("task").selectAll().where("org_id", "=", org);
  if (after !== undefined) {
    query = query.where(({ eb, refTuple, tuple }) =>
      eb(
        refTuple("project", "domain", "name", "version"),
        ">",
        tuple<string, string, string, string>(after.project, after.domain, after.name, after.version),
      ),
    );
  }
  const rows = await query
    .orderBy("project")
    .orderBy("domain")
    .orderBy("name")
    .orderBy("version")
    .limit(limit)
    .execute();
  return rows.map((row) => taskFromRow(sealer, row));
}

export function taskFromRow(sealer: Sealer, row: Selectable<TaskTable>): StoredTask {
  const id = {
    org: row.org_id,
    project: row.project,
    domain: row.domain,
    name: row.name,
    version: row.version,
  } as unknown as TaskId;
  const detail = sealer.openJson<TaskDetail>("task", "detail", sealKey(id), row.detail);
  return {
    ...id,
    specDigest: row.spec_digest as Digest,
    deployedBy: row.deployed_by,
    deployedAtMs: Number(row.deployed_at_ms),
    ...detail,
  };
}

function sealKey(id: TaskId): readonly string[] {
  return [id.project, id.domain, id.name, id.version];
}
