import { Phase } from "@biplane/control-wire";
import type { Database } from "@biplane/kit/database";
import { sql } from "kysely";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { describeOnBothDatabases } from "../../../tests/support/postgres.ts";
import type { DataSchema } from "../store/schema.ts";
import {
  actionOf,
  attemptOf,
  child,
  type Fixture,
  leaseNow,
  newRun,
  openFixture,
  rootOf,
  startRun,
  success,
  TestControlPlane,
} from "./engine.testing.ts";

/** Commits, and then says that it failed: the connection was lost before the answer. */
function losingAnswers(
  database: Database<DataSchema>,
  isLost: () => boolean,
  read: () => void,
): Database<DataSchema> {
  const losing = async <T>(commit: () => Promise<T>): Promise<T> => {
    const lost = isLost();
    const result = await commit();
    if (lost) throw new Error("connection lost");
    return result;
  };
  return {
    ...database,
    asOrg: (org, work) => {
      read();
      return losing(() => database.asOrg(org, work));
    },
    writeAsOrg: (org, work) => losing(() => database.writeAsOrg(org, work)),
  };
}

describeOnBothDatabases("A failed transaction", (fresh) => {
  let fixture: Fixture;
  let answersLost = 0;
  /** Called with the next read, which follows a failed write. */
  let readingAgain: (() => void) | undefined;
  const loseNextAnswer = () => {
    answersLost = 1;
  };
  beforeAll(async () => {
    const wrap = (database: Database<DataSchema>) =>
      losingAnswers(
        database,
        () => {
          answersLost -= 1;
          return answersLost === 0;
        },
        () => {
          readingAgain?.();
          readingAgain = undefined;
        },
      );
    fixture = await openFixture({ ...(await fresh()), wrap });
    await run(
      "create function refuse() returns trigger language plpgsql as $$ begin raise exception 'no room' using errcode = '53100'; end $$",
    );
  });
  afterEach(() => mend());
  afterAll(() => fixture.close());

  const run = (statement: string) => sql.raw(statement).execute(fixture.options.database.kysely);
  /** What PostgreSQL does when the disk is full. */
  const fillDisk = () =>
    run("create trigger full_disk before insert or update on action execute function refuse()");
  const mend = () => run("drop trigger if exists full_disk on action");

  test("is answered resource_exhausted when there is no room, and leaves nothing behind", async () => {
    const root = await startRun(fixture);
    const last = fixture.outbox.lastSequence();
    await fillDisk();
    await expect(fixture.runs.enqueueChildren(attemptOf(root), [child("lost")])).rejects.toMatchObject({
      code: "resource_exhausted",
      reason: "database_full",
    });
    await mend();
    await expect(fixture.runs.getAction(actionOf(root, "lost"))).rejects.toMatchObject({ code: "not_found" });
    expect(fixture.outbox.lastSequence()).toBe(last);
    await fixture.runs.enqueueChildren(attemptOf(root), [child("lost")]);
    expect((await leaseNow(fixture)).action).toBe("lost");
    await fixture.runs.abortRun(root, { reason: "", by: "" });
  });

  test("of a CreateRun is forgotten with its repeat key: the repeat makes the run", async () => {
    await fillDisk();
    const refused = fixture.runs.createRun(newRun({ repeatKey: "refused-once" }));
    await expect(refused).rejects.toMatchObject({ code: "resource_exhausted" });
    await mend();
    const control = new TestControlPlane(fixture).start();
    const run = await fixture.runs.createRun(newRun({ repeatKey: "refused-once" }));
    await control.stop();
    await fixture.runs.abortRun(run, { reason: "", by: "" });
  });

  test("does not lose what an executor reports: it is repeated until it is on disk", async () => {
    const root = await startRun(fixture);
    await fillDisk();
    const finished = fixture.queue.finish(attemptOf(root), success);
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect((await fixture.runs.getRun(root)).phase).toBe(Phase.RUNNING);
    await mend();
    await finished;
    expect((await fixture.runs.getRun(root)).phase).toBe(Phase.SUCCEEDED);
    expect(root.ended.aborted).toBe(false);
  });

  test("does not keep what an executor gives back while memory is read anew: it waits for the next taker", async () => {
    const root = await startRun(fixture);
    await fixture.runs.enqueueChildren(attemptOf(root), [child("given-back")]);
    const [lease] = await fixture.queue.leaseReady(1);
    let hasFailed = false;
    loseNextAnswer();
    const lost = fixture.runs.enqueueChildren(attemptOf(root), [child("unanswered")]).catch(() => {});
    readingAgain = () => {
      hasFailed = true;
      fixture.queue.giveBack(attemptOf(lease!));
    };
    await lost;
    expect(hasFailed).toBe(true);
    const taken = [await leaseNow(fixture), await leaseNow(fixture)];
    expect(taken.map(({ action, attempt }) => [action, attempt]).sort()).toEqual([
      ["given-back", 1],
      ["unanswered", 1],
    ]);
    await fixture.runs.abortRun(root, { reason: "", by: "" });
  });

  test("hands out no lease that is not on disk; the taker goes on waiting", async () => {
    const root = await startRun(fixture);
    await fixture.runs.enqueueChildren(attemptOf(root), [child("waits")]);
    await fillDisk();
    const taken = leaseNow(fixture, 20_000);
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect((await fixture.runs.getAction(actionOf(root, "waits"))).phase).toBe(Phase.QUEUED);
    await mend();
    expect(await taken).toMatchObject({ action: "waits", attempt: 1 });
    await fixture.runs.abortRun(root, { reason: "", by: "" });
  });

  test("whose outcome is unknown does not leave an attempt that nobody executes", async () => {
    const root = await startRun(fixture);
    await fixture.runs.enqueueChildren(attemptOf(root), [child("unknown")]);
    loseNextAnswer();
    expect(await leaseNow(fixture, 20_000)).toMatchObject({ action: "unknown", attempt: 1 });
    await fixture.runs.abortRun(root, { reason: "", by: "" });
  });

  test("whose outcome is unknown gives a repeated CreateRun the run that it made", async () => {
    await new TestControlPlane(fixture).drain();
    loseNextAnswer();
    const answer = fixture.runs.createRun(newRun({ repeatKey: "unknown-outcome" }));
    await expect(answer).rejects.toMatchObject({ code: "unavailable", reason: "database_unavailable" });
    const control = new TestControlPlane(fixture).start();
    const again = await fixture.runs.createRun(newRun({ repeatKey: "unknown-outcome" }));
    await control.stop();
    const created = control.events.flatMap(({ change }) =>
      change.case === "runCreated" ? [change.value.run!.name] : [],
    );
    expect(created).toEqual([again.run]);
    await fixture.runs.abortRun(again, { reason: "", by: "" });
  });

  test("whose outcome is unknown still stops what executes an attempt that it ended", async () => {
    const root = await startRun(fixture);
    loseNextAnswer();
    await expect(fixture.runs.abortRun(root, { reason: "", by: "" })).rejects.toMatchObject({
      code: "unavailable",
    });
    await expect.poll(() => root.ended.aborted).toBe(true);
    expect((await fixture.runs.getRun(root)).phase).toBe(Phase.ABORTED);
  });

  test("that only read is answered unavailable, without a word of the database's own", async () => {
    const root = await startRun(fixture);
    await fixture.runs.abortRun(root, { reason: "", by: "" });
    loseNextAnswer();
    await expect(fixture.runs.getRun(root)).rejects.toMatchObject({
      code: "unavailable",
      message: expect.not.stringContaining("connection lost"),
    });
    expect((await fixture.runs.getRun(root)).phase).toBe(Phase.ABORTED);
  });

  test("is followed by the present state for those who watch", async () => {
    const root = await startRun(fixture);
    const gone = new AbortController();
    const watch = fixture.runs.watchAction(rootOf(root), gone.signal)[Symbol.asyncIterator]();
    await watch.next();
    loseNextAnswer();
    await fixture.queue.finish(attemptOf(root), success);
    expect((await watch.next()).value).toMatchObject({ phase: Phase.SUCCEEDED });
    gone.abort();
  });
});
