import { Phase } from "@biplane/control-wire";
import { afterAll, beforeAll, expect, test } from "vitest";
import { describeOnBothDatabases } from "../../../tests/support/postgres.ts";
import {
  actionOf,
  attemptOf,
  child,
  type Fixture,
  failure,
  leaseNow,
  never,
  openFixture,
  rootOf,
  scope,
  startRun,
  success,
} from "./engine.testing.ts";

async function collect<T>(source: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of source) items.push(item);
  return items;
}

describeOnBothDatabases("Watches", (fresh) => {
  let fixture: Fixture;
  beforeAll(async () => {
    fixture = await openFixture(await fresh());
  });
  afterAll(() => fixture.close());

  test("a run's watch gives its state at once, each change, and ends with its end", async () => {
    const root = await startRun(fixture);
    const watched = collect(fixture.runs.watchRun(root, never));
    const late = collect(fixture.runs.watchAction(rootOf(root), never));
    await fixture.runs.getRun(root);
    await fixture.queue.finish(attemptOf(root), success);
    expect((await watched).map(({ phase }) => phase)).toEqual([Phase.RUNNING, Phase.SUCCEEDED]);
    expect((await late).at(-1)).toMatchObject({
      phase: Phase.SUCCEEDED,
      attempts: [{ phase: Phase.SUCCEEDED }],
    });
    expect((await collect(fixture.runs.watchRun(root, never))).map(({ phase }) => phase)).toEqual([
      Phase.SUCCEEDED,
    ]);
    expect(await collect(fixture.runs.watchAction(rootOf(root), never))).toHaveLength(1);
  });

  test("a watch of what does not exist is not_found", async () => {
    const root = await startRun(fixture);
    const unknown = actionOf(root, "none");
    await expect(collect(fixture.runs.watchAction(unknown, never))).rejects.toMatchObject({
      code: "not_found",
    });
    const run = { ...root, run: "r-unknown" as typeof root.run };
    for (const watch of [
      fixture.runs.watchRun(run, never),
      fixture.runs.watchActions(run, never),
      fixture.runs.watchProgress(run, never),
      fixture.runs.watchChildren(run, rootOf(root).action, never),
    ]) {
      await expect(collect<unknown>(watch)).rejects.toMatchObject({ code: "not_found" });
    }
  });

  test("a watch that its reader gives up ends without an error", async () => {
    const root = await startRun(fixture);
    const gone = new AbortController();
    const watches = [
      collect(fixture.runs.watchRun(root, gone.signal)),
      collect(fixture.runs.watchActions(root, gone.signal)),
      collect(fixture.runs.watchChildren(root, rootOf(root).action, gone.signal)),
      collect(fixture.runs.watchRuns(scope, gone.signal)),
      collect(fixture.runs.watchProgress(root, gone.signal)),
    ];
    await fixture.runs.getRun(root);
    setTimeout(() => gone.abort(), 100);
    for (const watch of watches) await expect(watch).resolves.toBeDefined();
  });

  test("children come as a snapshot, its end, and then each change, with the failure in the same update as the phase", async () => {
    const root = await startRun(fixture);
    await fixture.runs.enqueueChildren(attemptOf(root), [child("one"), child("two")]);
    const watch = fixture.runs.watchChildren(root, rootOf(root).action, never)[Symbol.asyncIterator]();
    const snapshot = await watch.next();
    expect(snapshot.value.updates.map(({ action }: { action: string }) => action).sort()).toEqual([
      "one",
      "two",
    ]);
    expect((await watch.next()).value).toEqual({ updates: [], snapshotEnd: true });
    const lease = await leaseNow(fixture);
    const running = await watch.next();
    expect(running.value.updates).toMatchObject([{ action: lease.action, phase: Phase.RUNNING }]);
    await fixture.queue.finish(attemptOf(lease), failure({ recoverable: false }));
    const failed = await watch.next();
    expect(failed.value.updates).toMatchObject([{ phase: Phase.FAILED, failure: { code: "ValueError" } }]);
    // What another action starts is not told here.
    const other = await leaseNow(fixture);
    await watch.next();
    await fixture.runs.enqueueChildren(attemptOf(other), [child("grandchild")]);
    await fixture.queue.finish(attemptOf(root), success);
    const rest: string[] = [];
    for (let next = await watch.next(); next.done !== true; next = await watch.next()) {
      rest.push(...next.value.updates.map(({ action }: { action: string }) => action));
    }
    expect(rest).toEqual([other.action]);
  });

  test("a slow reader gets the newest state of each action, not every state", async () => {
    const root = await startRun(fixture);
    const names = Array.from({ length: 30 }, (_, index) => `s${index}`);
    const watch = fixture.runs.watchActions(root, never)[Symbol.asyncIterator]();
    await watch.next();
    await fixture.runs.enqueueChildren(
      attemptOf(root),
      names.map((name) => child(name)),
    );
    for (const _ of names) await fixture.queue.finish(attemptOf(await leaseNow(fixture)), success);
    const update = await watch.next();
    expect(update.value.map(({ phase }: { phase: Phase }) => phase)).toEqual(
      names.map(() => Phase.SUCCEEDED),
    );
    await fixture.queue.finish(attemptOf(root), success);
    const last = await watch.next();
    expect(last.value).toMatchObject([{ action: "a0", phase: Phase.SUCCEEDED }]);
    expect((await watch.next()).done).toBe(true);
  });

  test("progress counts actions by task and phase, and ends after the run's end", async () => {
    const root = await startRun(fixture);
    const watched = collect(fixture.runs.watchProgress(root, never));
    await fixture.runs.enqueueChildren(attemptOf(root), [child("p1"), child("p2"), child("p3")]);
    for (let count = 0; count < 2; count += 1) {
      await fixture.queue.finish(attemptOf(await leaseNow(fixture)), success);
    }
    await fixture.queue.finish(attemptOf(root), success);
    const last = (await watched).at(-1)!;
    expect(last.phase).toBe(Phase.SUCCEEDED);
    const totals = last.counts
      .map(({ taskName, phase, count }) => `${taskName} ${Phase[phase]} ${count}`)
      .sort();
    expect(totals).toEqual([
      "flights.main SUCCEEDED 1",
      "flights.part ABORTED 1",
      "flights.part SUCCEEDED 2",
    ]);
  });

  test("a project's watch begins with what there is and goes on with what changes", async () => {
    const gone = new AbortController();
    const watch = fixture.runs.watchRuns(scope, gone.signal)[Symbol.asyncIterator]();
    expect((await watch.next()).value.length).toBeGreaterThan(0);
    const root = await startRun(fixture);
    const update = await watch.next();
    expect(update.value.map(({ run }: { run: string }) => run)).toContain(root.run);
    gone.abort();
    expect((await watch.next()).done).toBe(true);
  });
});
