import { AdmissionOutcome, IntentOutcome, Phase, type RunProjection } from "@biplane/control-wire";
import { afterAll, beforeAll, expect, test } from "vitest";
import { describeOnBothDatabases } from "../../../tests/support/postgres.ts";
import { type Fixture, intentFor, leaseNow, newRun, openFixture, org, rootOf } from "./engine.testing.ts";
import type { RunRecord } from "./types.ts";

describeOnBothDatabases("Intents", (fresh) => {
  let fixture: Fixture;
  beforeAll(async () => {
    fixture = await openFixture(await fresh());
  });
  afterAll(() => fixture.close());

  /** A run that is admitted, and whose intent has not come yet. */
  async function admittedRun(): Promise<{ run: RunRecord; projection: RunProjection }> {
    const after = fixture.outbox.lastSequence();
    const answer = fixture.runs.createRun(newRun());
    await fixture.outbox.wait(after, AbortSignal.timeout(10_000));
    const [event] = await fixture.outbox.read(after, 1);
    const projection = event!.change.value as RunProjection;
    await fixture.outbox.acknowledge(event!.sequence, [
      { run: projection.run!, outcome: AdmissionOutcome.ADMITTED },
    ]);
    return { run: await answer, projection };
  }

  const send = (projection: RunProjection, change = {}) =>
    fixture.intents.acceptIntent(intentFor(projection, fixture.clock.now(), change));

  test("rule 5: an accepted intent starts the root action, and the same one again changes nothing", async () => {
    const { run, projection } = await admittedRun();
    expect(await fixture.queue.lease(AbortSignal.timeout(100))).toBeUndefined();
    const intent = intentFor(projection, fixture.clock.now());
    expect(await fixture.intents.acceptIntent(intent)).toBe(IntentOutcome.ACCEPTED);
    expect((await leaseNow(fixture)).run).toBe(run.run);
    expect(await fixture.intents.acceptIntent(intent)).toBe(IntentOutcome.ACCEPTED);
    expect(await fixture.queue.lease(AbortSignal.timeout(100))).toBeUndefined();
    await fixture.reopen();
    expect(await fixture.intents.acceptIntent(intent)).toBe(IntentOutcome.ACCEPTED);
  });

  test("rule 5: a foreign cluster, an expired intent, a stale fence and a used nonce are refused by name", async () => {
    const { projection } = await admittedRun();
    expect(await send(projection, { cluster: "elsewhere" })).toBe(IntentOutcome.WRONG_CLUSTER);
    expect(await send(projection, { expiresAt: { seconds: 1n, nanos: 0 } })).toBe(IntentOutcome.EXPIRED);
    const nonce = new Uint8Array(16).fill(7);
    expect(await send(projection, { fence: 5n, nonce })).toBe(IntentOutcome.ACCEPTED);
    expect(await send(projection, { fence: 4n })).toBe(IntentOutcome.STALE_FENCE);
    expect(await send(projection, { fence: 6n, nonce })).toBe(IntentOutcome.REPLAYED);
    await fixture.reopen();
    expect(await send(projection, { fence: 6n, nonce })).toBe(IntentOutcome.REPLAYED);
    expect(await send(projection, { fence: 6n })).toBe(IntentOutcome.ACCEPTED);
    await fixture.runs.abortRun({ ...rootOf((await leaseNow(fixture)).runRecord) }, { reason: "", by: "" });
  });

  test("rule 5: another run's digest or another person is refused, and the run fails visibly", async () => {
    for (const [change, outcome, code] of [
      [{ documentDigest: new Uint8Array(32) }, IntentOutcome.DIGEST_MISMATCH, "digest_mismatch"],
      [{ createdBy: "somebody-else" }, IntentOutcome.SUBJECT_MISMATCH, "subject_mismatch"],
    ] as const) {
      const { run, projection } = await admittedRun();
      expect(await send(projection, change)).toBe(outcome);
      const root = await fixture.runs.getAction(rootOf(run));
      expect(root).toMatchObject({ phase: Phase.FAILED, failure: { code } });
      expect((await fixture.runs.getRun(run)).phase).toBe(Phase.FAILED);
      expect(await send(projection)).toBe(IntentOutcome.RUN_ENDED);
    }
  });

  test("rule 5: a run whose document is gone fails with document_missing", async () => {
    const { run, projection } = await admittedRun();
    await fixture.options.database.asOrg(org, (transaction) =>
      transaction
        .deleteFrom("document")
        .where("org_id", "=", org)
        .where("digest", "=", run.documentDigest)
        .execute(),
    );
    expect(await send(projection)).toBe(IntentOutcome.DOCUMENT_MISSING);
    const root = await fixture.runs.getAction(rootOf(run));
    expect(root).toMatchObject({ phase: Phase.FAILED, failure: { code: "document_missing" } });
    const events = await fixture.outbox.read(fixture.outbox.acknowledgedSequence(), 100);
    const updated = events.flatMap(({ change }) => (change.case === "runUpdated" ? [change.value] : []));
    expect(updated.at(-1)).toMatchObject({ phase: Phase.FAILED, failureCode: "document_missing" });
  });

  test("rule 5: a run that was never submitted is refused", async () => {
    const { projection } = await admittedRun();
    const run = { ...projection.run!, name: "never-submitted" };
    expect(await send({ ...projection, run })).toBe(IntentOutcome.DOCUMENT_MISSING);
    expect(await send({ ...projection, run: { ...projection.run!, org: "other" } })).toBe(
      IntentOutcome.DOCUMENT_MISSING,
    );
    expect(await send(projection)).toBe(IntentOutcome.ACCEPTED);
  });
});
