import { type ActionId, type ProjectId, type RunId, rootAction } from "@biplane/base";
import { Phase } from "@biplane/control-wire";
import { afterAll, beforeAll, expect, test } from "vitest";
import { describeOnBothDatabases } from "../../../tests/support/postgres.ts";
import {
  attemptOf,
  child,
  type Fixture,
  failure,
  leaseNow,
  never,
  newRun,
  openFixture,
  readAction,
  scope,
  startRun,
} from "./engine.testing.ts";

const all = { filters: [], sort: [], limit: 10, cursor: "" };
const refused = { code: "failed_precondition", reason: "key_disabled" };

describeOnBothDatabases("With a project's key disabled", (fresh) => {
  let fixture: Fixture;
  let ended: ActionId;
  let open: ActionId;
  let other: RunId;

  beforeAll(async () => {
    fixture = await openFixture(await fresh());
    await fixture.projectKeys.assign("acme/weather", "weather-key");
    const elsewhere = await startRun(fixture, { project: "weather" });
    await fixture.queue.finish(attemptOf(elsewhere), failure({ recoverable: false }));
    other = elsewhere;
    const first = await startRun(fixture);
    await fixture.queue.finish(attemptOf(first), failure({ recoverable: false, message: "it broke" }));
    ended = first;
    const second = await startRun(fixture, { retries: 2 });
    await fixture.runs.enqueueChildren(attemptOf(second), [child("part", { retries: 1 })]);
    const part = await leaseNow(fixture);
    await fixture.queue.finish(attemptOf(part), failure({ recoverable: true, message: "try again" }));
    open = part;
  });
  afterAll(() => fixture.close());

  async function change(kind: "enable" | "disable"): Promise<void> {
    const keys = await fixture.projectKeys.list();
    await fixture.projectKeys.change(kind, keys.find(({ key }) => key === "customer")!);
  }

  /** What is asked for by name: the record, and all that its customer wrote of it. */
  async function readAll(id: ActionId): Promise<string> {
    const { runs } = fixture;
    const record = await readAction(fixture, id);
    await runs.document(id.project, record.specDigest!);
    await runs.document(id.project, (await runs.getRun(id)).documentDigest);
    await runs.runSpec(id);
    return String(record.failure?.message ?? record.attempts[0]?.failure?.message);
  }

  test("documents and texts are refused, of open runs too, while names and phases are read (claim CMK-1)", async () => {
    expect(await readAll(ended)).toBe("it broke");
    expect(await readAll(open)).toBe("try again");
    await change("disable");
    const { runs } = fixture;
    for (const id of [ended, open]) {
      const record = await runs.getAction(id);
      await expect(runs.withTexts(record)).rejects.toMatchObject(refused);
      await expect(runs.document(id.project, record.specDigest!)).rejects.toMatchObject(refused);
      await expect(runs.runSpec(id)).rejects.toMatchObject(refused);
    }
    expect((await runs.listRuns(scope, all)).items.map(({ phase }) => phase)).toContain(Phase.FAILED);
    expect((await runs.listActions(ended, all)).items).toMatchObject([{ failure: { code: "ValueError" } }]);
    for await (const records of runs.watchActions(ended, never)) expect(records).toHaveLength(1);
    // Control: what is under another key goes on.
    expect(await readAll({ ...other, action: rootAction })).toBe("secret 42");
    await change("enable");
    expect(await readAll(ended)).toBe("it broke");
  });

  test("nothing new of the project is taken, and others' runs are", async () => {
    await change("disable");
    await expect(fixture.runs.createRun(newRun())).rejects.toMatchObject(refused);
    const started = await startRun(fixture, { project: "weather" });
    expect(started.project).toBe("weather" as ProjectId);
    await change("enable");
  });

  test("what fails meanwhile is recorded, without what was said of it", async () => {
    const running = await startRun(fixture);
    await change("disable");
    await fixture.queue.finish(attemptOf(running), failure({ recoverable: false, message: "lost words" }));
    await change("enable");
    const record = await readAction(fixture, running);
    expect(record).toMatchObject({ phase: Phase.FAILED, failure: { code: "ValueError" } });
    expect(record.failure?.message).toMatch(/could not be kept/);
  });

  test("the plane starts, and knows of each action how often it may be tried", async () => {
    const first = await startRun(fixture, { retries: 1 });
    await fixture.queue.finish(attemptOf(first), failure({ recoverable: true, message: "try again" }));
    await change("disable");
    await fixture.reopen();
    await expect(fixture.runs.runSpec(first)).rejects.toMatchObject(refused);
    await change("enable");
    const again = await leaseNow(fixture);
    expect(again).toMatchObject({ run: first.run, attempt: 2 });
    await fixture.queue.finish(attemptOf(again), failure({ recoverable: true, message: "and again" }));
    const record = await readAction(fixture, first);
    expect(record).toMatchObject({
      phase: Phase.FAILED,
      attempts: [{ failure: { message: "try again" } }, { failure: { message: "and again" } }],
    });
  });
});
