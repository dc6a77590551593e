/** Lists of this cluster's runs, actions and tasks (rule of state 10), from committed rows. */
import type { RunId } from "@biplane/base";
import { type RawBuilder, type Selectable, sql } from "kysely";
import { actionFromRow } from "../store/action-rows.ts";
import { FilterFunction, type ListFields, requireValues, unknownOperator } from "../store/list-filters.ts";
import { ListPager, type ListTable, limitOf } from "../store/list-pages.ts";
import { runFromRow } from "../store/run-rows.ts";
import type { ActionTable, RunTable, TaskTable } from "../store/runs-tables.ts";
import { type StoredTask, taskFromRow } from "../store/task-rows.ts";
import type { Engine } from "./engine.ts";
import type { ActionRecord, Listed, ListFilter, ListQuery, RunRecord } from "./types.ts";

export interface ListScope {
  readonly org: string;
  readonly project?: string;
  readonly domain?: string;
}

const times: ListFields = {
  created_at: { column: "created_at_ms", type: "time" },
  started_at: { column: "started_at_ms", type: "time", isOptional: true },
  start_time: { column: "started_at_ms", type: "time", isOptional: true },
  ended_at: { column: "ended_at_ms", type: "time", isOptional: true },
  end_time: { column: "ended_at_ms", type: "time", isOptional: true },
  updated_at: { column: "updated_at_ms", type: "time" },
};
const common: ListFields = {
  name: { column: "name", type: "text" },
  phase: { column: "phase", type: "number" },
  task_name: { column: "task_name", type: "text" },
  task_version: { column: "task_version", type: "text" },
  created_by: { column: "created_by", type: "text" },
};
const runTable: ListTable = {
  name: "run",
  key: ["name", "project", "domain"],
  fields: {
    ...common,
    ...times,
    run_name: { column: "name", type: "text" },
    project: { column: "project", type: "text" },
    domain: { column: "domain", type: "text" },
    source: { column: "source", type: "number" },
  },
};
const actionTable: ListTable = {
  name: "action",
  key: ["name"],
  fields: {
    ...common,
    ...times,
    parent_name: { column: "parent", type: "text" },
    parent: { column: "parent", type: "text" },
    task_type: { column: "task_type", type: "text" },
    action_type: { column: "kind", type: "number" },
  },
};
const taskTable: ListTable = {
  name: "task",
  key: ["name", "version", "project", "domain"],
  fields: {
    name: { column: "name", type: "text" },
    version: { column: "version", type: "text" },
    created_at: { column: "deployed_at_ms", type: "time" },
    deployed_at: { column: "deployed_at_ms", type: "time" },
    deployed_by: { column: "deployed_by", type: "text" },
  },
};
const labelPrefix = "labels.";
/** Rows that one request looks at for filters on sealed columns; the page ends there and its cursor goes on. */
const rowsScannedMax = 10_000;

export class Lists {
  readonly #engine: Engine;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  async runs(scope: ListScope, query: ListQuery): Promise<Listed<RunRecord>> {
    const labels = query.filters.filter(({ field }) => field.startsWith(labelPrefix));
    for (const filter of labels) requireValues(filter);
    const filters = query.filters.filter((filter) => !labels.includes(filter));
    const where = [...inScope(scope), sql<boolean>`admission = 'admitted'`];
    const pager = new ListPager<Selectable<RunTable>>(runTable, { ...newestFirst(query), filters }, where);
    const { sealer } = this.#engine;
    return this.#page(pager, query, (row) => {
      const { record } = runFromRow(sealer, row);
      return labels.every((filter) => labelMatches(record.labels, filter)) ? record : undefined;
    });
  }

  async actions(id: RunId, query: ListQuery): Promise<Listed<ActionRecord>> {
    const where = [...inScope(id), sql<boolean>`run = ${id.run}`];
    const filters = query.filters.map(actionKindFilter);
    const sort = query.sort.length > 0 ? query.sort : [{ field: "created_at", ascending: true }];
    const pager = new ListPager<Selectable<ActionTable>>(actionTable, { ...query, filters, sort }, where);
    const { sealer, options } = this.#engine;
    return this.#page(pager, query, (row) => actionFromRow(sealer, options.bucket, row).record);
  }

  async tasks(scope: ListScope, query: ListQuery): Promise<Listed<StoredTask>> {
    const pager = new ListPager<Selectable<TaskTable>>(taskTable, newestFirst(query), inScope(scope));
    return this.#page(pager, query, (row) => taskFromRow(this.#engine.sealer, row));
  }

  async #page<Row extends object, T>(
    pager: ListPager<Row>,
    query: ListQuery,
    read: (row: Row) => T | undefined,
  ): Promise<Listed<T>> {
    const { database, org } = this.#engine.options;
    const limit = limitOf(query);
    return database.asOrg(org, async (transaction) => {
      const items: T[] = [];
      let cursor = query.cursor;
      for (let scanned = 0; scanned < rowsScannedMax; scanned += limit + 1) {
        const rows = await pager.read(transaction, cursor, limit + 1);
        for (const [index, row] of rows.entries()) {
          if (items.length === limit) return { items, nextCursor: cursor };
          if (index === limit) break;
          const item = read(row);
          cursor = pager.cursorOf(row);
          if (item !== undefined) items.push(item);
        }
        if (rows.length <= limit) return { items, nextCursor: "" };
      }
      return { items, nextCursor: cursor };
    });
  }
}

function inScope(scope: ListScope): RawBuilder<boolean>[] {
  const where = [sql<boolean>`org_id = ${scope.org}`];
  if (scope.project) where.push(sql<boolean>`project = ${scope.project}`);
  if (scope.domain) where.push(sql<boolean>`domain = ${scope.domain}`);
  return where;
}

function newestFirst(query: ListQuery): ListQuery {
  return query.sort.length > 0 ? query : { ...query, sort: [{ field: "created_at", ascending: false }] };
}

/** Flyte's `ActionType` counts from 1; rows from 0. */
function actionKindFilter(filter: ListFilter): ListFilter {
  if (filter.field !== "action_type") return filter;
  return { ...filter, values: filter.values.map((value) => String(Number(value) - 1)) };
}

function labelMatches(labels: Readonly<Record<string, string>>, filter: ListFilter): boolean {
  const value = Object.hasOwn(labels, filter.field.slice(labelPrefix.length))
    ? labels[filter.field.slice(labelPrefix.length)]
    : undefined;
  switch (filter.operator) {
    case FilterFunction.EQUAL:
      return value === filter.values[0];
    case FilterFunction.NOT_EQUAL:
      return value !== filter.values[0];
    case FilterFunction.VALUE_IN:
      return value !== undefined && filter.values.includes(value);
    case FilterFunction.EXISTS:
      return value !== undefined;
    case FilterFunction.NOT_EXISTS:
      return value === undefined;
    default:
      throw unknownOperator(filter);
  }
}
