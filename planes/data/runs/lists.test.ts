import { Phase } from "@biplane/control-wire";
import { afterAll, beforeAll, expect, test } from "vitest";
import { describeOnBothDatabases } from "../../../tests/support/postgres.ts";
import { FilterFunction } from "../store/list-filters.ts";
import {
  attemptOf,
  child,
  type Fixture,
  failure,
  leaseNow,
  openFixture,
  scope,
  startRun,
  success,
} from "./engine.testing.ts";
import type { Lease, ListFilter, ListQuery } from "./types.ts";

function query(change: Partial<ListQuery> = {}): ListQuery {
  return { filters: [], sort: [], limit: 100, cursor: "", ...change };
}

function filter(field: string, operator: number, ...values: string[]): ListFilter {
  return { field, operator, values };
}

describeOnBothDatabases("Lists", (fresh) => {
  let fixture: Fixture;
  const runs: Lease[] = [];
  const times: number[] = [];
  beforeAll(async () => {
    fixture = await openFixture(await fresh());
    for (const index of [0, 1, 2, 3, 4]) {
      fixture.clock.advance(1_000);
      times.push(fixture.clock.now());
      const labels: Record<string, string> =
        index % 2 === 0 ? { team: "a", index: `${index}` } : { team: "b" };
      const root = await startRun(fixture, {
        labels,
        name: `flights.t${index}`,
        createdBy: `user-${index % 2}`,
      });
      runs.push(root);
      if (index < 3) await fixture.queue.finish(attemptOf(root), index === 2 ? failure() : success);
    }
    const last = runs[4]!;
    await fixture.runs.enqueueChildren(
      attemptOf(last),
      [1, 2, 3, 4, 5, 6, 7].map((index) => child(`c${index}`)),
    );
    await fixture.queue.finish(attemptOf(await leaseNow(fixture)), success);
  });
  afterAll(() => fixture.close());

  const indexes = async (...filters: ListFilter[]) => {
    const { items } = await fixture.runs.listRuns(scope, query({ filters }));
    return items.map(({ run }) => runs.findIndex((root) => root.run === run)).sort();
  };
  const iso = (index: number) => new Date(times[index]!).toISOString().replace("Z", "+00:00");

  test("rule 10: runs are listed newest first, from this cluster's own rows", async () => {
    const { items, nextCursor } = await fixture.runs.listRuns(scope, query());
    expect(items.map(({ run }) => run)).toEqual(runs.map(({ run }) => run).reverse());
    expect(nextCursor).toBe("");
    expect((await fixture.runs.listRuns({ org: "other" }, query())).items).toEqual([]);
    expect((await fixture.runs.listRuns({ org: scope.org, project: "other" }, query())).items).toEqual([]);
  });

  test("filters of Flyte's clients select by phase, task, person and time", async () => {
    expect(await indexes(filter("phase", FilterFunction.EQUAL, String(Phase.SUCCEEDED)))).toEqual([0, 1]);
    const ended = [String(Phase.SUCCEEDED), String(Phase.FAILED)];
    expect(await indexes(filter("phase", FilterFunction.VALUE_IN, ...ended))).toEqual([0, 1, 2]);
    expect(await indexes(filter("phase", FilterFunction.VALUE_NOT_IN, ...ended))).toEqual([3, 4]);
    expect(await indexes(filter("task_name", FilterFunction.EQUAL, "flights.t1"))).toEqual([1]);
    expect(await indexes(filter("task_name", FilterFunction.CONTAINS, "S.T"))).toEqual([]);
    expect(await indexes(filter("task_name", FilterFunction.CONTAINS_CASE_INSENSITIVE, "S.T"))).toHaveLength(
      5,
    );
    expect(await indexes(filter("task_name", FilterFunction.ENDS_WITH, "t3"))).toEqual([3]);
    expect(await indexes(filter("task_version", FilterFunction.NOT_EQUAL, "v1"))).toEqual([]);
    expect(await indexes(filter("created_by", FilterFunction.EQUAL, "user-1"))).toEqual([1, 3]);
    expect(
      await indexes(
        filter("created_at", FilterFunction.GREATER_THAN_OR_EQUAL, iso(1)),
        filter("created_at", FilterFunction.LESS_THAN, iso(3)),
      ),
    ).toEqual([1, 2]);
    expect(await indexes(filter("ended_at", FilterFunction.NOT_EXISTS))).toEqual([3, 4]);
  });

  test("filters on labels work though labels are sealed in the database", async () => {
    expect(await indexes(filter("labels.team", FilterFunction.EQUAL, "b"))).toEqual([1, 3]);
    expect(await indexes(filter("labels.index", FilterFunction.EXISTS))).toEqual([0, 2, 4]);
    expect(await indexes(filter("labels.index", FilterFunction.NOT_EXISTS))).toEqual([1, 3]);
    expect(await indexes(filter("labels.toString", FilterFunction.EXISTS))).toEqual([]);
  });

  test("pages neither skip nor repeat, with and without filters on labels, however they are sorted", async () => {
    for (const sort of [
      [],
      [{ field: "task_name", ascending: true }],
      [{ field: "ended_at", ascending: false }],
    ]) {
      for (const filters of [[], [filter("labels.team", FilterFunction.EXISTS)]]) {
        const seen: string[] = [];
        let cursor = "";
        do {
          const page = await fixture.runs.listRuns(scope, query({ sort, filters, limit: 2, cursor }));
          expect(page.items.length).toBeLessThanOrEqual(2);
          seen.push(...page.items.map(({ run }) => run));
          cursor = page.nextCursor;
        } while (cursor !== "");
        expect([...seen].sort()).toEqual(runs.map(({ run }) => run).sort());
      }
    }
  });

  test("sorting goes both ways", async () => {
    for (const ascending of [true, false]) {
      const { items } = await fixture.runs.listRuns(
        scope,
        query({ sort: [{ field: "task_name", ascending }] }),
      );
      const names = items.map(({ taskName }) => taskName);
      expect(names).toEqual(ascending ? [...names].sort() : [...names].sort().reverse());
    }
  });

  test("actions are listed by parent, kind and phase", async () => {
    const run = runs[4]!;
    const names = async (...filters: ListFilter[]) =>
      (await fixture.runs.listActions(run, query({ filters }))).items.map(({ action }) => action);
    expect(await names()).toHaveLength(8);
    expect(await names(filter("parent_name", FilterFunction.EQUAL, "a0"))).toHaveLength(7);
    expect(await names(filter("action_type", FilterFunction.EQUAL, "1"))).toHaveLength(8);
    expect(await names(filter("action_type", FilterFunction.EQUAL, "2"))).toEqual([]);
    expect(await names(filter("phase", FilterFunction.EQUAL, String(Phase.SUCCEEDED)))).toEqual(["c1"]);
    const unknown = { ...run, run: "r-unknown" as typeof run.run };
    await expect(fixture.runs.listActions(unknown, query())).rejects.toMatchObject({ code: "not_found" });
  });

  test("an unknown field, function, value or token is refused and named", async () => {
    const refused = (change: Partial<ListQuery>) =>
      expect(fixture.runs.listRuns(scope, query(change))).rejects;
    await refused({ filters: [filter("colour", FilterFunction.EQUAL, "red")] }).toThrow(/colour/);
    await refused({ filters: [filter("phase", 99, "5")] }).toThrow(/99/);
    await refused({ filters: [filter("phase", FilterFunction.EQUAL, "five")] }).toThrow(/number/);
    await refused({ filters: [filter("phase", FilterFunction.VALUE_IN)] }).toThrow(/0 values/);
    await refused({ filters: [filter("created_at", FilterFunction.LESS_THAN, "yesterday")] }).toThrow(/time/);
    await refused({ filters: [filter("labels.team", FilterFunction.LESS_THAN, "b")] }).toThrow(/labels.team/);
    await refused({ sort: [{ field: "colour", ascending: true }] }).toThrow(/colour/);
    await refused({ cursor: "nonsense" }).toThrow(/token/);
    const { nextCursor } = await fixture.runs.listRuns(scope, query({ limit: 1 }));
    await refused({ cursor: nextCursor, sort: [{ field: "phase", ascending: true }] }).toThrow(/token/);
  });

  test("a value can't break out of its condition", async () => {
    const hostile = "x' or '1'='1";
    expect(await indexes(filter("task_name", FilterFunction.EQUAL, hostile))).toEqual([]);
    expect(await indexes(filter("task_name", FilterFunction.VALUE_IN, hostile, "%"))).toEqual([]);
    expect(await indexes(filter("task_name", FilterFunction.CONTAINS, "%"))).toEqual([]);
  });
});
