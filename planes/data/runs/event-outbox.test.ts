import { AdmissionOutcome, type Event, EventSchema, Phase } from "@biplane/control-wire";
import { toBinary } from "@bufbuild/protobuf";
import { afterAll, beforeAll, expect, test } from "vitest";
import { describeOnBothDatabases } from "../../../tests/support/postgres.ts";
import { writeIncarnation } from "../store/outbox-rows.ts";
import {
  attemptOf,
  child,
  type Fixture,
  failure,
  leaseNow,
  newRun,
  openFixture,
  org,
  scope,
  startRun,
  success,
  taskSpec,
} from "./engine.testing.ts";

describeOnBothDatabases("The outbox", (fresh) => {
  let fixture: Fixture;
  beforeAll(async () => {
    fixture = await openFixture(await fresh());
  });
  afterAll(() => fixture.close());

  async function readAll(after: bigint): Promise<readonly Event[]> {
    const events: Event[] = [];
    for (;;) {
      const next = await fixture.outbox.read(events.at(-1)?.sequence ?? after, 3);
      if (next.length === 0) return events;
      events.push(...next);
    }
  }

  /** A run that ends well, with one child that needed two attempts. */
  async function wholeRun() {
    const root = await startRun(fixture);
    await fixture.runs.enqueueChildren(attemptOf(root), [child("part", { retries: 1 })]);
    await fixture.queue.finish(attemptOf(await leaseNow(fixture)), failure());
    await fixture.queue.finish(attemptOf(await leaseNow(fixture)), success);
    await fixture.queue.finish(attemptOf(root), success);
    return root;
  }

  test("rule 8: events are numbered without gaps, across restarts and acknowledgements", async () => {
    await wholeRun();
    const first = await readAll(fixture.outbox.acknowledgedSequence());
    const last = fixture.outbox.lastSequence();
    await fixture.outbox.acknowledge(last, []);
    await fixture.reopen();
    expect(fixture.outbox.lastSequence()).toBe(last);
    expect(fixture.outbox.acknowledgedSequence()).toBe(last);
    expect(await fixture.outbox.read(last, 10)).toEqual([]);
    await wholeRun();
    const second = await readAll(last);
    const sequences = [...first, ...second].map(({ sequence }) => sequence);
    expect(sequences).toEqual(sequences.map((_, index) => sequences[0]! + BigInt(index)));
    expect(second.at(-1)?.sequence).toBe(fixture.outbox.lastSequence());
  });

  test("rule 7: the events of a run tell of each attempt once it started, in order, and of its end last", async () => {
    const after = fixture.outbox.lastSequence();
    const root = await wholeRun();
    const events = await readAll(after);
    expect(events[0]?.change).toMatchObject({
      case: "runCreated",
      value: { phase: Phase.QUEUED, cluster: "main" },
    });
    expect(events.at(-1)?.change).toMatchObject({ case: "runUpdated", value: { phase: Phase.SUCCEEDED } });
    const attempts = events.flatMap(({ change }) =>
      change.case === "attemptUpdated" && change.value.action === "part" ? [change.value] : [],
    );
    const seen = attempts.map(({ attempt, phase }) => [attempt, phase]);
    expect(seen).toEqual([
      [1, Phase.RUNNING],
      [1, Phase.FAILED],
      [2, Phase.RUNNING],
      [2, Phase.SUCCEEDED],
    ]);
    expect(attempts[1]).toMatchObject({ failureCode: "ValueError" });
    expect(events.every(({ change }) => JSON.stringify(change.value, bigints).includes(root.run))).toBe(true);
  });

  test("no text, label, group or location of a customer is in any event; the name of the task is (claim CLS-2)", async () => {
    const after = fixture.outbox.lastSequence();
    const root = await startRun(fixture, { labels: { team: "label-canary" }, name: "name-canary" });
    await fixture.runs.enqueueChildren(attemptOf(root), [{ ...child("part"), group: "group-canary" }]);
    const part = await leaseNow(fixture);
    await fixture.queue.finish(
      attemptOf(part),
      failure({ recoverable: false, message: "message-canary", code: "a code-canary with spaces" }),
    );
    await fixture.runs.abortRun(root, { reason: "reason-canary", by: "user" });
    const bytes = Buffer.concat((await readAll(after)).map((event) => toBinary(EventSchema, event)));
    for (const canary of ["label", "group", "message", "reason", "code"]) {
      expect(bytes.includes(`${canary}-canary`), canary).toBe(false);
    }
    expect(bytes.includes("s3://")).toBe(false);
    expect(bytes.includes("name-canary")).toBe(true);
  });

  test("what waits for an event wakes when it is on disk, and when it gives up", async () => {
    const last = fixture.outbox.lastSequence();
    const waiting = fixture.outbox.wait(last, AbortSignal.timeout(20_000));
    await startRun(fixture);
    await waiting;
    expect(fixture.outbox.lastSequence()).toBeGreaterThan(last);
    await fixture.outbox.wait(fixture.outbox.lastSequence() + 100n, AbortSignal.timeout(10));
  });

  test("an acknowledgement of what was never sent is refused", async () => {
    await expect(fixture.outbox.acknowledge(fixture.outbox.lastSequence() + 1n, [])).rejects.toMatchObject({
      code: "failed_precondition",
    });
  });

  test("acknowledgements may come again and backwards", async () => {
    await wholeRun();
    const last = fixture.outbox.lastSequence();
    await fixture.outbox.acknowledge(last, []);
    await fixture.outbox.acknowledge(last - 1n, []);
    await fixture.outbox.acknowledge(last, []);
    expect(fixture.outbox.acknowledgedSequence()).toBe(last);
  });

  test("rule 8: a snapshot holds every run, action, attempt and task, between its two marks", async () => {
    const root = await wholeRun();
    const name = "flights.deployed" as Parameters<typeof fixture.runs.getTask>[0]["name"];
    const version = "v1" as Parameters<typeof fixture.runs.getTask>[0]["version"];
    await fixture.runs.deployTask({
      ...{ ...scope, name, version, spec: taskSpec(), deployedBy: "user-1", deployedAtMs: 5 },
      ...{ shortName: "deployed", environmentName: "flights" },
    });
    const pending = fixture.runs.createRun(newRun({ repeatKey: "in-snapshot" })).catch(() => undefined);
    await fixture.outbox.wait(fixture.outbox.lastSequence(), AbortSignal.timeout(10_000));
    const after = fixture.outbox.lastSequence();
    await fixture.outbox.appendSnapshot();
    const events = await readAll(after);
    expect(events[0]?.change.case).toBe("snapshotBegin");
    expect(events.at(-1)?.change.case).toBe("snapshotEnd");
    const own = events.filter(({ change }) => JSON.stringify(change.value, bigints).includes(root.run));
    expect(own.map(({ change }) => change.case)).toEqual([
      "runUpdated",
      "actionUpdated",
      "attemptUpdated",
      "actionUpdated",
      "attemptUpdated",
      "attemptUpdated",
    ]);
    expect(events.filter(({ change }) => change.case === "taskDeployed")).toHaveLength(1);
    const asked = events.filter(({ change }) => change.case === "runCreated");
    expect(asked).toHaveLength(1);
    const ref = asked[0]!.change.case === "runCreated" ? asked[0]!.change.value.run! : undefined;
    await fixture.outbox.acknowledge(fixture.outbox.lastSequence(), [
      { run: ref!, outcome: AdmissionOutcome.ADMITTED },
    ]);
    expect((await pending)?.admission).toBe("admitted");
    await startRun(fixture);
    expect((await readAll(events.at(-1)!.sequence)).length).toBeGreaterThan(0);
  });

  test("rule 8: the incarnation stays over restarts, and a new one begins to number again", async () => {
    const { incarnation } = fixture.outbox;
    await fixture.reopen();
    expect(fixture.outbox.incarnation).toBe(incarnation);
    await fixture.options.database.asOrg(org, (transaction) =>
      writeIncarnation(transaction, org, "restored"),
    );
    await fixture.reopen();
    expect(fixture.outbox.incarnation).toBe("restored");
    expect(fixture.outbox.lastSequence()).toBe(0n);
    await fixture.outbox.appendSnapshot();
    expect((await fixture.outbox.read(0n, 1))[0]?.sequence).toBe(1n);
  });
});

function bigints(_: string, value: unknown): unknown {
  return typeof value === "bigint" ? value.toString() : value;
}
