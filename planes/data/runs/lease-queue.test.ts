import { limits } from "@biplane/base";
import { Phase } from "@biplane/control-wire";
import type { Database } from "@biplane/kit/database";
import { afterAll, afterEach, beforeAll, expect, onTestFinished, test, vi } from "vitest";
import { describeOnBothDatabases } from "../../../tests/support/postgres.ts";
import type { DataSchema } from "../store/schema.ts";
import {
  actionOf,
  attemptOf,
  child,
  type Fixture,
  failure,
  leaseNow,
  openFixture,
  readAction,
  rootOf,
  startRun,
  success,
} from "./engine.testing.ts";
import type { Lease } from "./types.ts";

describeOnBothDatabases("The action queue", (fresh) => {
  let fixture: Fixture;
  let transactions = 0;
  const started: Lease[] = [];
  beforeAll(async () => {
    const counting = (database: Database<DataSchema>): Database<DataSchema> => ({
      ...database,
      writeAsOrg: (id, work) => {
        transactions += 1;
        return database.writeAsOrg(id, work);
      },
    });
    fixture = await openFixture({ ...(await fresh()), wrap: counting });
  });
  afterEach(async () => {
    for (const lease of started.splice(0)) await fixture.runs.abortRun(lease, { reason: "over", by: "test" });
  });
  afterAll(() => fixture.close());

  const start = async (options = {}) => {
    const root = await startRun(fixture, options);
    started.push(root);
    return root;
  };

  test("a lease carries what the executor needs, and is RUNNING on disk before anybody has it", async () => {
    const root = await start();
    expect(root).toMatchObject({ attempt: 1, runStartTimeMs: 1_000, previousAttempt: undefined });
    expect(root.pins).toHaveLength(1);
    expect(root.record.attempts[0]?.outputPrefix).toBe(
      `s3://biplane/acme/flights/development/${root.run}/a0/1/`,
    );
    await fixture.reopen();
    expect(await fixture.queue.interrupted()).toEqual([attemptOf(root)]);
    await fixture.queue.finish(attemptOf(root), success);
    expect((await fixture.runs.getRun(root)).phase).toBe(Phase.SUCCEEDED);
    await fixture.reopen();
    expect(await fixture.queue.interrupted()).toEqual([]);
  });

  test("the user's retries are used up by recoverable failures; each is a new attempt in a place of its own", async () => {
    const root = await start({ retries: 2 });
    await fixture.queue.finish(attemptOf(root), failure());
    const second = await leaseNow(fixture);
    expect(second).toMatchObject({ action: "a0", attempt: 2, previousAttempt: 1 });
    await fixture.queue.finish(attemptOf(second), failure({ code: "KeyError" }));
    const third = await leaseNow(fixture);
    await fixture.queue.finish(attemptOf(third), failure({ code: "TypeError" }));
    const record = await readAction(fixture, rootOf(root));
    expect(record).toMatchObject({
      phase: Phase.FAILED,
      failure: { code: "TypeError", message: "secret 42" },
    });
    expect(record.attempts.map(({ attempt, phase, failure: why }) => [attempt, phase, why?.code])).toEqual([
      [1, Phase.FAILED, "ValueError"],
      [2, Phase.FAILED, "KeyError"],
      [3, Phase.FAILED, "TypeError"],
    ]);
    expect(new Set(record.attempts.map(({ outputPrefix }) => outputPrefix)).size).toBe(3);
  });

  test("a failure that can't be recovered is not tried again", async () => {
    const root = await start({ retries: 5 });
    await fixture.queue.finish(attemptOf(root), failure({ recoverable: false }));
    expect((await fixture.runs.getRun(root)).phase).toBe(Phase.FAILED);
  });

  test("the platform's failures have a budget of their own and wait before they are tried again", async () => {
    let lease = await start({ retries: 0 });
    for (let lost = 0; lost < limits.systemRetriesMax; lost += 1) {
      await fixture.queue.finish(attemptOf(lease), failure({ kind: "system", code: "worker_lost" }));
      expect(await fixture.queue.lease(AbortSignal.timeout(50))).toBeUndefined();
      fixture.clock.advance(60_000);
      lease = await leaseNow(fixture);
      expect(lease.attempt).toBe(lost + 2);
    }
    await fixture.queue.finish(attemptOf(lease), failure({ kind: "system", code: "worker_lost" }));
    expect((await fixture.runs.getRun(lease)).phase).toBe(Phase.FAILED);
  });

  test("a retry keeps its delay over a restart", async () => {
    const root = await start();
    await fixture.queue.finish(attemptOf(root), failure({ kind: "system", code: "worker_lost" }));
    await fixture.reopen();
    expect(await fixture.queue.lease(AbortSignal.timeout(50))).toBeUndefined();
    fixture.clock.advance(60_000);
    expect((await leaseNow(fixture)).attempt).toBe(2);
  });

  test("an attempt that timed out for good ends the action as TIMED_OUT", async () => {
    const root = await start();
    const why = { code: "timeout", message: "too long", kind: "user", recoverable: true } as const;
    await fixture.queue.finish(attemptOf(root), { kind: "timed_out", failure: why, hasReport: true });
    const record = await readAction(fixture, rootOf(root));
    expect(record).toMatchObject({ phase: Phase.TIMED_OUT, attempts: [{ hasReport: true }] });
  });

  test("a small run is not kept waiting by a large fan-out before it", async () => {
    const large = await start();
    await fixture.runs.enqueueChildren(
      attemptOf(large),
      Array.from({ length: 50 }, (_, index) => child(`many-${index}`)),
    );
    const small = await start();
    await fixture.runs.enqueueChildren(attemptOf(small), [child("few")]);
    const next = [await leaseNow(fixture), await leaseNow(fixture)];
    expect(next.map(({ run }) => run)).toContain(small.run);
  });

  test("within a run actions go first come, first served, and no more at once than the run allows", async () => {
    const root = await start({ actionConcurrencyMax: 2 });
    await fixture.runs.enqueueChildren(
      attemptOf(root),
      [1, 2, 3, 4].map((index) => child(`c${index}`)),
    );
    const first = await leaseNow(fixture);
    const second = await leaseNow(fixture);
    expect([first.action, second.action]).toEqual(["c1", "c2"]);
    expect(await fixture.queue.lease(AbortSignal.timeout(100))).toBeUndefined();
    await fixture.queue.finish(attemptOf(second), success);
    expect((await leaseNow(fixture)).action).toBe("c3");
  });

  test("a limit of one action at a time does not lock a parent out from its children", async () => {
    const root = await start({ actionConcurrencyMax: 1 });
    await fixture.runs.enqueueChildren(attemptOf(root), [child("parent")]);
    const parent = await leaseNow(fixture);
    await fixture.runs.enqueueChildren(attemptOf(parent), [child("grandchild")]);
    expect((await leaseNow(fixture)).action).toBe("grandchild");
  });

  test("two takers never get the same attempt", async () => {
    const root = await start();
    const names = Array.from({ length: 40 }, (_, index) => `u${index}`);
    const takers = names.map(() => leaseNow(fixture));
    await fixture.runs.enqueueChildren(
      attemptOf(root),
      names.map((name) => child(name)),
    );
    const leased = await Promise.all(takers);
    expect(new Set(leased.map(({ action }) => action)).size).toBe(names.length);
  });

  test("what is ready is leased together, durably; what is given back is the same attempt again", async () => {
    const root = await start();
    expect(await fixture.queue.leaseReady(5)).toEqual([]);
    const names = ["r1", "r2", "r3"];
    await fixture.runs.enqueueChildren(
      attemptOf(root),
      names.map((name) => child(name)),
    );
    const leases = await fixture.queue.leaseReady(2);
    expect(leases.map(({ action }) => action)).toEqual(["r1", "r2"]);
    const [first, second] = leases as [Lease, Lease];
    fixture.queue.giveBack(attemptOf(second));
    expect((await leaseNow(fixture)).action).toBe("r3");
    await fixture.reopen();
    const held = (await fixture.queue.interrupted()).map(({ action, attempt }) => [action, attempt]);
    expect(held.sort()).toEqual([
      ["a0", 1],
      ["r1", 1],
      ["r3", 1],
    ]);
    expect(await leaseNow(fixture)).toMatchObject({ action: "r2", attempt: 1 });
    await fixture.queue.finish(attemptOf(first), success);
    fixture.queue.giveBack(attemptOf(first));
    expect((await readAction(fixture, first)).phase).toBe(Phase.SUCCEEDED);
  });

  test("ends share a transaction while actions of their run wait, and the last one waits for nothing", async () => {
    const root = await start();
    const names = ["e1", "e2", "e3", "e4"];
    await fixture.runs.enqueueChildren(
      attemptOf(root),
      names.map((name) => child(name)),
    );
    const leases = await fixture.queue.leaseReady(3);
    const before = transactions;
    // However slow this machine is, their ends are not written for the time they have waited.
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    onTestFinished(() => void vi.useRealTimers());
    const ends: Promise<void>[] = [];
    for (const lease of leases) {
      ends.push(fixture.queue.finish(attemptOf(lease), success));
      await new Promise((resolve) => setImmediate(resolve));
    }
    // The lease of the one that waited takes their ends along.
    const last = await leaseNow(fixture);
    await Promise.all(ends);
    expect(transactions - before).toBe(1);
    vi.useRealTimers();
    await fixture.queue.finish(attemptOf(last), success);
    await fixture.queue.finish(attemptOf(root), success);
    expect((await fixture.runs.getRun(root)).phase).toBe(Phase.SUCCEEDED);
  });

  test("an attempt that began later than it was leased has the time when it began", async () => {
    const root = await start({ retries: 1 });
    const leasedAtMs = fixture.clock.now();
    fixture.clock.advance(100);
    await fixture.queue.finish(attemptOf(root), failure(), leasedAtMs + 30);
    const again = await leaseNow(fixture);
    await fixture.queue.finish(attemptOf(again), success, leasedAtMs - 50);
    const record = await readAction(fixture, rootOf(root));
    expect(record.startedAtMs).toBe(leasedAtMs + 30);
    expect(record.attempts.map(({ startedAtMs, endedAtMs }) => [startedAtMs, endedAtMs])).toEqual([
      [leasedAtMs + 30, leasedAtMs + 100],
      [leasedAtMs + 100, leasedAtMs + 100],
    ]);
  });

  test("a taker that left between the decision and the disk gives the attempt back", async () => {
    const root = await start();
    const leaving = new AbortController();
    const taken = fixture.queue.lease(leaving.signal);
    const enqueued = fixture.runs.enqueueChildren(attemptOf(root), [child("left-behind")]);
    await new Promise((resolve) => queueMicrotask(() => resolve(undefined)));
    await Promise.resolve();
    leaving.abort();
    await enqueued;
    expect(await taken).toBeUndefined();
    expect(await leaseNow(fixture)).toMatchObject({ action: "left-behind", attempt: 1 });
  });

  test("children are idempotent by name, and refused from an attempt that is over", async () => {
    const root = await start({ retries: 1 });
    await fixture.runs.enqueueChildren(attemptOf(root), [child("once"), child("once")]);
    await fixture.runs.enqueueChildren(attemptOf(root), [child("once")]);
    expect(
      (await fixture.runs.listActions(root, { filters: [], sort: [], limit: 10, cursor: "" })).items,
    ).toHaveLength(2);
    await fixture.queue.finish(attemptOf(root), failure());
    await expect(fixture.runs.enqueueChildren(attemptOf(root), [child("late")])).rejects.toMatchObject({
      code: "aborted",
    });
    // The next attempt finds what the first one started.
    const leases = [await leaseNow(fixture), await leaseNow(fixture)];
    const again = leases.find(({ action }) => action === "a0")!;
    const once = leases.find(({ action }) => action === "once")!;
    await fixture.queue.finish(attemptOf(once), success);
    await fixture.runs.enqueueChildren(attemptOf(again), [child("once")]);
    expect((await fixture.runs.getAction(actionOf(root, "once"))).phase).toBe(Phase.SUCCEEDED);
  });

  test("a name of another parent's action is refused", async () => {
    const root = await start();
    await fixture.runs.enqueueChildren(attemptOf(root), [child("p1"), child("p2")]);
    const [first, second] = [await leaseNow(fixture), await leaseNow(fixture)];
    await fixture.runs.enqueueChildren(attemptOf(first), [child("shared")]);
    await expect(fixture.runs.enqueueChildren(attemptOf(second), [child("shared")])).rejects.toMatchObject({
      code: "invalid_argument",
    });
  });

  test("an endless recursion ends at the depth limit", async () => {
    let lease = await start();
    for (let depth = 1; depth <= limits.actionDepthMax; depth += 1) {
      await fixture.runs.enqueueChildren(attemptOf(lease), [child(`deep-${depth}`)]);
      lease = await leaseNow(fixture);
    }
    await expect(fixture.runs.enqueueChildren(attemptOf(lease), [child("too-deep")])).rejects.toThrow(
      /at most 64 deep/,
    );
  });

  test("traces are recorded once, with their own times, and never executed", async () => {
    const root = await start();
    const trace = {
      ...{ name: child("t1").name, functionName: "read", group: "", startedAtMs: 10, endedAtMs: 20 },
      ...{
        outputUri: "s3://biplane/x/outputs.pb",
        phase: Phase.SUCCEEDED,
        failure: undefined,
        spec: undefined,
      },
    };
    await fixture.runs.recordTraces(attemptOf(root), [trace]);
    await fixture.runs.recordTraces(attemptOf(root), [{ ...trace, endedAtMs: 99 }]);
    const record = await fixture.runs.getAction(actionOf(root, "t1"));
    expect(record).toMatchObject({
      kind: "trace",
      startedAtMs: 10,
      endedAtMs: 20,
      outputUri: trace.outputUri,
    });
    expect(await fixture.queue.lease(AbortSignal.timeout(50))).toBeUndefined();
    await fixture.reopen();
    expect(await fixture.runs.getAction(actionOf(root, "t1"))).toEqual(record);
    await fixture.queue.finish(attemptOf(root), success);
  });
});
