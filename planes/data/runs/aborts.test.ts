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
  openFixture,
  readAction,
  rootOf,
  startRun,
  success,
} from "./engine.testing.ts";

const abort = { reason: "no longer wanted", by: "user-2" };
const everything = { filters: [], sort: [], limit: 100, cursor: "" };

describeOnBothDatabases("Aborting", (fresh) => {
  let fixture: Fixture;
  beforeAll(async () => {
    fixture = await openFixture(await fresh());
  });
  afterAll(() => fixture.close());

  /** A root with two children, of which one runs and has a waiting child of its own. */
  async function family() {
    const root = await startRun(fixture);
    await fixture.runs.enqueueChildren(attemptOf(root), [child("running"), child("waiting")]);
    const running = await leaseNow(fixture);
    await fixture.runs.enqueueChildren(attemptOf(running), [child("grandchild")]);
    return { root, running };
  }

  const phases = async (root: Parameters<typeof fixture.runs.listActions>[0]) =>
    Object.fromEntries(
      (await fixture.runs.listActions(root, everything)).items.map(({ action, phase }) => [action, phase]),
    );

  test("rule 6: aborting a run ends it and all its open actions at once, and stops those that execute", async () => {
    const { root, running } = await family();
    expect([root.ended.aborted, running.ended.aborted]).toEqual([false, false]);
    await fixture.runs.abortRun(root, abort);
    expect([root.ended.aborted, running.ended.aborted]).toEqual([true, true]);
    expect(await phases(root)).toEqual({
      a0: Phase.ABORTED,
      running: Phase.ABORTED,
      waiting: Phase.ABORTED,
      grandchild: Phase.ABORTED,
    });
    expect((await readAction(fixture, rootOf(root))).abort).toEqual(abort);
    expect((await fixture.runs.getRun(root)).phase).toBe(Phase.ABORTED);
    expect(await fixture.queue.lease(AbortSignal.timeout(50))).toBeUndefined();
    await expect(fixture.runs.enqueueChildren(attemptOf(running), [child("late")])).rejects.toMatchObject({
      code: "aborted",
    });
  });

  test("rule 6: the first terminal commit wins, and ending an ended run answers OK", async () => {
    const root = await startRun(fixture);
    const finished = fixture.queue.finish(attemptOf(root), success);
    const aborted = fixture.runs.abortRun(root, abort);
    await Promise.all([finished, aborted]);
    expect((await fixture.runs.getRun(root)).phase).toBe(Phase.SUCCEEDED);
    await fixture.runs.abortRun(root, abort);
    await fixture.queue.finish(attemptOf(root), failure());
    const record = await fixture.runs.getAction(rootOf(root));
    expect(record).toMatchObject({ phase: Phase.SUCCEEDED, abort: undefined, failure: undefined });
    const other = await startRun(fixture);
    await fixture.runs.abortRun(other, abort);
    await fixture.queue.finish(attemptOf(other), success);
    expect((await fixture.runs.getRun(other)).phase).toBe(Phase.ABORTED);
  });

  test("rule 6: aborting an action ends what is below it and nothing else", async () => {
    const { root, running } = await family();
    await fixture.runs.abortAction(actionOf(root, "running"), abort);
    expect(await phases(root)).toEqual({
      a0: Phase.RUNNING,
      running: Phase.ABORTED,
      waiting: Phase.QUEUED,
      grandchild: Phase.ABORTED,
    });
    expect([root.ended.aborted, running.ended.aborted]).toEqual([false, true]);
    await fixture.runs.abortAction(rootOf(root), abort);
    expect((await fixture.runs.getRun(root)).phase).toBe(Phase.ABORTED);
  });

  test("what an ended parent left open is ended with it", async () => {
    for (const outcome of [success, failure({ recoverable: false })]) {
      const { root, running } = await family();
      await fixture.queue.finish(attemptOf(running), success);
      expect(await phases(root)).toMatchObject({ grandchild: Phase.ABORTED, waiting: Phase.QUEUED });
      await fixture.queue.finish(attemptOf(root), outcome);
      expect(await phases(root)).toMatchObject({ running: Phase.SUCCEEDED, waiting: Phase.ABORTED });
      expect(root.ended.aborted).toBe(false);
    }
  });

  test("an abort is durable: after a restart nothing of the run executes", async () => {
    const { root } = await family();
    await fixture.runs.abortRun(root, abort);
    await fixture.reopen();
    expect(await fixture.queue.interrupted()).toEqual([]);
    expect(await fixture.queue.lease(AbortSignal.timeout(50))).toBeUndefined();
    expect((await readAction(fixture, rootOf(root))).abort).toEqual(abort);
  });

  test("what does not exist is not_found", async () => {
    const root = await startRun(fixture);
    const unknown = { ...rootOf(root), run: "r-unknown" as typeof root.run };
    await expect(fixture.runs.abortRun(unknown, abort)).rejects.toMatchObject({ code: "not_found" });
    await expect(fixture.runs.abortAction(unknown, abort)).rejects.toMatchObject({ code: "not_found" });
    await expect(fixture.runs.abortAction(actionOf(root, "none"), abort)).rejects.toMatchObject({
      code: "not_found",
    });
    await fixture.runs.abortRun(root, abort);
    await expect(fixture.runs.abortAction(actionOf(root, "none"), abort)).rejects.toMatchObject({
      code: "not_found",
    });
  });
});
