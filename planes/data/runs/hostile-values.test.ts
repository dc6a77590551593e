/** What tasks and submissions say of themselves: one bad value must not fail what others decided in the same transaction. */
import { limits } from "@biplane/base";
import { Phase } from "@biplane/control-wire";
import { flyte } from "@biplane/data-wire";
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { afterAll, beforeAll, expect, test } from "vitest";
import { describeOnBothDatabases } from "../../../tests/support/postgres.ts";
import {
  actionOf,
  attemptOf,
  child,
  type Fixture,
  failure,
  leaseNow,
  newRun,
  openFixture,
  readAction,
  startRun,
  success,
} from "./engine.testing.ts";
import type { Lease, NewChild, NewTrace } from "./types.ts";

type Template = NonNullable<MessageInitShape<typeof flyte.task.TaskSpecSchema>["taskTemplate"]>;

/** A child whose specification says the given things besides. */
function childWith(name: string, template: Omit<Template, "$typeName">, shortName = ""): NewChild {
  const spec = create(flyte.task.TaskSpecSchema, {
    shortName,
    taskTemplate: { id: { name: "flights.part", version: "v1" }, type: "typescript", ...template },
  });
  return { ...child(name), taskSpec: toBinary(flyte.task.TaskSpecSchema, spec) };
}

function traceWith(name: string, change: Partial<NewTrace>): NewTrace {
  return {
    ...{ name: child(name).name, functionName: "read", group: "", startedAtMs: 10, endedAtMs: 20 },
    ...{ outputUri: "", phase: Phase.SUCCEEDED, failure: undefined, spec: undefined },
    ...change,
  };
}

describeOnBothDatabases("A hostile value", (fresh) => {
  let fixture: Fixture;
  beforeAll(async () => {
    fixture = await openFixture(await fresh());
  });
  afterAll(() => fixture.close());

  /** Offers it together with somebody else's change, which must be kept. */
  async function refused(offer: (root: Lease) => Promise<unknown>): Promise<void> {
    const [bad, good] = [await startRun(fixture), await startRun(fixture)];
    const offered = offer(bad);
    offered.catch(() => {});
    await fixture.runs.enqueueChildren(attemptOf(good), [child("kept")]);
    await expect(offered).rejects.toMatchObject({ code: "invalid_argument" });
    expect((await leaseNow(fixture)).action).toBe("kept");
    for (const root of [bad, good]) await fixture.runs.abortRun(root, { reason: "", by: "" });
  }
  const children = (...offered: NewChild[]) =>
    refused((root) => fixture.runs.enqueueChildren(attemptOf(root), offered));
  const traces = (...offered: NewTrace[]) =>
    refused((root) => fixture.runs.recordTraces(attemptOf(root), offered));
  const long = "x".repeat(limits.nameCharactersMax + 1);

  test("in a specification is refused: a type with a zero byte, names without end", async () => {
    await children(childWith("zero", { type: "a\0b" }));
    await children(childWith("type", { type: long }));
    await children(childWith("short", {}, long));
  });

  test("in the title of a group or a step is cut", async () => {
    const root = await startRun(fixture);
    const titles = { group: "g".repeat(2_000), functionName: "s".repeat(2_000) };
    await fixture.runs.enqueueChildren(attemptOf(root), [{ ...child("grouped"), group: titles.group }]);
    await fixture.runs.recordTraces(attemptOf(root), [traceWith("titled", titles)]);
    const records = await Promise.all(
      ["grouped", "titled"].map((name) => fixture.runs.getAction(actionOf(root, name))),
    );
    for (const { group } of records) expect(group).toMatch(/^g{1000,1020}…$/);
    expect(records[1]!.shortName).toMatch(/^s{1000,1020}…$/);
    await fixture.runs.abortRun(root, { reason: "", by: "" });
  });

  test("in a time that no calendar has is refused", async () => {
    for (const atMs of [2 ** 63, -1, Number.NaN, 253_402_300_800_000])
      await traces(traceWith("time", { startedAtMs: atMs }), traceWith("end", { endedAtMs: atMs }));
    await refused(() => fixture.runs.createRun({ ...newRun(), runStartTimeMs: 2 ** 63 }));
  });

  test("in a limit of concurrency is none", async () => {
    const root = await startRun(fixture, { actionConcurrencyMax: 2 ** 32 - 1 });
    await fixture.queue.finish(attemptOf(root), success);
    expect((await fixture.runs.getRun(root)).phase).toBe(Phase.SUCCEEDED);
  });

  test("in a back-off ends in a time that can be kept, and others of the queue go on", async () => {
    const backoffs = [
      { factor: Number.POSITIVE_INFINITY },
      { factor: Number.NaN },
      { factor: 1e300, base: { seconds: 315_576_000_000n } },
    ];
    const root = await startRun(fixture);
    for (const [index, backoff] of backoffs.entries()) {
      const name = `retried-${index}`;
      const retries = { retries: 3, backoff };
      await fixture.runs.enqueueChildren(attemptOf(root), [childWith(name, { metadata: { retries } })]);
      for (let tries = 0; tries < 2; tries += 1) {
        const lease = await fixture.queue.lease(AbortSignal.timeout(2_000));
        if (lease === undefined) break;
        await fixture.queue.finish(attemptOf(lease), failure());
      }
      await fixture.runs.abortAction(actionOf(root, name), { reason: "", by: "" });
    }
    await fixture.runs.enqueueChildren(attemptOf(root), [child("others")]);
    expect((await leaseNow(fixture)).action).toBe("others");
    await fixture.runs.abortRun(root, { reason: "", by: "" });
  }, 30_000);

  test("in a failure is cut to its bounds", async () => {
    const root = await startRun(fixture);
    const failure = {
      code: "C".repeat(9_000),
      message: "m".repeat(1 << 20),
      kind: "user",
      recoverable: true,
    } as const;
    await fixture.runs.recordTraces(attemptOf(root), [traceWith("failed", { phase: Phase.FAILED, failure })]);
    const record = await readAction(fixture, actionOf(root, "failed"));
    expect(record.failure!.code.length).toBeLessThan(200);
    expect(String(record.failure!.message).length).toBeLessThan(limits.errorMessageBytesMax + 10);
    await fixture.runs.abortRun(root, { reason: "", by: "" });
  });
});
