import { limits } from "@biplane/base";
import { AdmissionOutcome, IntentOutcome, Phase } from "@biplane/control-wire";
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import { describeOnBothDatabases } from "../../../tests/support/postgres.ts";
import {
  type Fixture,
  intentFor,
  leaseNow,
  newRun,
  openFixture,
  scope,
  TestControlPlane,
} from "./engine.testing.ts";

const everything = { filters: [], sort: [], limit: 1_000, cursor: "" };

describeOnBothDatabases("CreateRun", (fresh) => {
  let fixture: Fixture;
  let control: TestControlPlane | undefined;
  beforeAll(async () => {
    fixture = await openFixture(await fresh());
  });
  afterEach(async () => {
    await control?.stop();
    control = undefined;
    vi.useRealTimers();
    await endStartedRuns();
  });
  afterAll(() => fixture.close());

  async function endStartedRuns() {
    for (const run of (await fixture.runs.listRuns(scope, everything)).items) {
      if (run.endedAtMs === undefined) await fixture.runs.abortRun(run, { reason: "over", by: "test" });
    }
  }

  const listed = async (run: string) =>
    (await fixture.runs.listRuns(scope, everything)).items.some((record) => record.run === run);

  /** Lets the wait for the control plane pass without waiting. */
  async function createWithoutAnswer(repeatKey?: string, runName?: string) {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const answer = fixture.runs.createRun(newRun({ repeatKey, runName })).catch((error: unknown) => error);
    await vi.waitFor(async () => expect(await unsentRuns()).not.toHaveLength(0));
    await vi.advanceTimersByTimeAsync(limits.admissionWaitMs + 1);
    vi.useRealTimers();
    return answer;
  }

  async function unsentRuns() {
    const events = await fixture.outbox.read(fixture.outbox.acknowledgedSequence(), 1_000);
    return events.flatMap(({ change }) => (change.case === "runCreated" ? [change.value] : []));
  }

  test("rule 2: a repeat with the same key gets the first answer, also after a restart", async () => {
    control = new TestControlPlane(fixture).start();
    const first = await fixture.runs.createRun(newRun({ repeatKey: "repeat-2" }));
    const again = await fixture.runs.createRun(newRun({ repeatKey: "repeat-2" }));
    expect(again.run).toBe(first.run);
    await control.stop();
    await fixture.reopen();
    control = new TestControlPlane(fixture).start();
    expect((await fixture.runs.createRun(newRun({ repeatKey: "repeat-2" }))).run).toBe(first.run);
    const other = await fixture.runs.createRun(newRun({ repeatKey: "another" }));
    expect(other.run).not.toBe(first.run);
  });

  test("rule 2: repeats that arrive at the same time make one run", async () => {
    control = new TestControlPlane(fixture).start();
    const answers = await Promise.all(
      [1, 2, 3, 4].map(() => fixture.runs.createRun(newRun({ repeatKey: "at-once" }))),
    );
    expect(new Set(answers.map(({ run }) => run)).size).toBe(1);
  });

  test("rule 2: after 24 hours the key is forgotten", async () => {
    control = new TestControlPlane(fixture).start();
    const first = await fixture.runs.createRun(newRun({ repeatKey: "yesterday" }));
    await control.stop();
    fixture.clock.advance(limits.repeatKeyMs + 1);
    await fixture.reopen();
    control = new TestControlPlane(fixture).start();
    const later = await fixture.runs.createRun(newRun({ repeatKey: "yesterday" }));
    expect(later.run).not.toBe(first.run);
  });

  test("rule 3: without the control plane's word the answer is unavailable, and the run is neither listed nor executed", async () => {
    const answer = await createWithoutAnswer("pending-3");
    expect(answer).toMatchObject({ code: "unavailable", reason: "admission_pending" });
    const [projection] = await unsentRuns();
    const run = projection!.run!.name;
    expect(await listed(run)).toBe(false);
    // The word comes late: nobody waits any more, so the run must not start by itself.
    await new TestControlPlane(fixture).drain();
    expect(await fixture.queue.lease(AbortSignal.timeout(200))).toBeUndefined();
    expect(await listed(run)).toBe(false);
  }, 30_000);

  test("rule 3: only a repeat starts a pending run", async () => {
    const answer = await createWithoutAnswer("resumed-3");
    expect(answer).toMatchObject({ code: "unavailable" });
    const projection = (await unsentRuns()).at(-1)!;
    await new TestControlPlane(fixture).drain();
    const resumed = await fixture.runs.createRun(newRun({ repeatKey: "resumed-3" }));
    expect(resumed.run).toBe(projection.run!.name);
    expect(await listed(resumed.run)).toBe(true);
    expect((await leaseNow(fixture)).run).toBe(resumed.run);
  });

  test("rule 3: a pending run survives a restart and is started by its repeat", async () => {
    await createWithoutAnswer("restarted-3");
    const projection = (await unsentRuns()).at(-1)!;
    await fixture.reopen();
    control = new TestControlPlane(fixture).start();
    const resumed = await fixture.runs.createRun(newRun({ repeatKey: "restarted-3" }));
    expect(resumed.run).toBe(projection.run!.name);
  });

  test("rule 3: after ten minutes a pending run is withdrawn, and a late intent is refused as withdrawn", async () => {
    await createWithoutAnswer("withdrawn-3", "withdrawn-run");
    const projection = (await unsentRuns()).at(-1)!;
    const before = fixture.outbox.lastSequence();
    fixture.clock.advance(limits.pendingRunMs + 1);
    await vi.waitFor(async () => {
      const events = await fixture.outbox.read(before, 10);
      expect(events.map(({ change }) => change.case)).toContain("runWithdrawn");
    }, 10_000);
    const late = intentFor(projection, fixture.clock.now());
    expect(await fixture.intents.acceptIntent(late)).toBe(IntentOutcome.WITHDRAWN);
    expect(await listed("withdrawn-run")).toBe(false);
    // Its name is free again, and so is its key.
    control = new TestControlPlane(fixture).start();
    const next = await fixture.runs.createRun(newRun({ repeatKey: "withdrawn-3", runName: "withdrawn-run" }));
    expect(next.phase).toBe(Phase.QUEUED);
  }, 30_000);

  test("rule 4: the control plane's ALREADY_EXISTS is the answer, and nothing of the run remains", async () => {
    control = new TestControlPlane(fixture, AdmissionOutcome.ALREADY_EXISTS).start();
    const refused = fixture.runs.createRun(newRun({ runName: "taken-elsewhere" }));
    await expect(refused).rejects.toMatchObject({ code: "already_exists" });
    await control.stop();
    expect(await listed("taken-elsewhere")).toBe(false);
    control = new TestControlPlane(fixture).start();
    await expect(fixture.runs.createRun(newRun({ runName: "taken-elsewhere" }))).resolves.toBeDefined();
  });

  test("rule 4: a name of this cluster's own runs is refused at once; generated names are distinct", async () => {
    control = new TestControlPlane(fixture).start();
    await fixture.runs.createRun(newRun({ runName: "mine" }));
    await expect(fixture.runs.createRun(newRun({ runName: "mine" }))).rejects.toMatchObject({
      code: "already_exists",
    });
    const names = await Promise.all([1, 2, 3].map(async () => (await fixture.runs.createRun(newRun())).run));
    expect(new Set(names).size).toBe(3);
  });

  test("an unknown project is not_found, an archived one failed_precondition", async () => {
    for (const [outcome, code] of [
      [AdmissionOutcome.UNKNOWN_PROJECT, "not_found"],
      [AdmissionOutcome.PROJECT_ARCHIVED, "failed_precondition"],
      [AdmissionOutcome.REGION_NOT_ALLOWED, "failed_precondition"],
    ] as const) {
      control = new TestControlPlane(fixture, outcome).start();
      await expect(fixture.runs.createRun(newRun())).rejects.toMatchObject({ code });
      await control.stop();
    }
  });

  test("a specification that can't be read, or whose task's name is none, is refused before anything is stored (claim CLS-2)", async () => {
    const before = fixture.outbox.lastSequence();
    const broken = { ...newRun(), taskSpec: Uint8Array.of(0xff, 0xff) };
    await expect(fixture.runs.createRun(broken)).rejects.toMatchObject({ code: "invalid_argument" });
    const unnamed = { ...newRun(), taskSpec: new Uint8Array(0) };
    await expect(fixture.runs.createRun(unnamed)).rejects.toMatchObject({ code: "invalid_argument" });
    for (const name of ["two\nlines", " flights", "x".repeat(256)]) {
      const refused = fixture.runs.createRun(newRun({ name }));
      await expect(refused, name).rejects.toMatchObject({ code: "invalid_argument" });
    }
    expect(fixture.outbox.lastSequence()).toBe(before);
  });
});
