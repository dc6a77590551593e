import { hour } from "@biplane/base";
import { AdmissionOutcome, IntentOutcome, Phase, type RunProjection } from "@biplane/control-wire";
import { document } from "@biplane/data-wire";
import { fromBinary } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { afterAll, beforeAll, expect, test } from "vitest";
import { describeOnBothDatabases } from "../../../tests/support/postgres.ts";
import {
  cluster,
  type Fixture,
  intentFor,
  leaseNow,
  newRun,
  openFixture,
  org,
  rootOf,
} from "./engine.testing.ts";
import type { NewRun, RunRecord } from "./types.ts";

describeOnBothDatabases("Intents", (fresh) => {
  let fixture: Fixture;
  beforeAll(async () => {
    fixture = await openFixture(await fresh());
  });
  afterAll(() => fixture.close());

  /** A run that is admitted, and whose intent has not come yet. */
  async function admittedRun(
    change: Partial<NewRun> = {},
  ): Promise<{ run: RunRecord; projection: RunProjection; request: Uint8Array }> {
    const after = fixture.outbox.lastSequence();
    const submitted = { ...newRun(), ...change };
    const answer = fixture.runs.createRun(submitted);
    await fixture.outbox.wait(after, AbortSignal.timeout(10_000));
    const [event] = await fixture.outbox.read(after, 1);
    const projection = event!.change.value as RunProjection;
    await fixture.outbox.acknowledge(event!.sequence, [
      { run: projection.run!, outcome: AdmissionOutcome.ADMITTED },
    ]);
    return { run: await answer, projection, request: submitted.request };
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

  test("rule 5: an expired intent, a stale fence and a used nonce are refused by name", async () => {
    const { projection } = await admittedRun();
    expect(await send(projection, { expiresAt: { seconds: 1n, nanos: 0 } })).toBe(IntentOutcome.EXPIRED);
    const nonce = new Uint8Array(16).fill(7);
    expect(await send(projection, { fence: 5n, nonce })).toBe(IntentOutcome.ACCEPTED);
    expect(await send(projection, { fence: 4n })).toBe(IntentOutcome.STALE_FENCE);
    expect(await send(projection, { fence: 6n, nonce })).toBe(IntentOutcome.REPLAYED);
    await fixture.reopen();
    expect(await send(projection, { fence: 6n, nonce })).toBe(IntentOutcome.REPLAYED);
    expect(await send(projection, { fence: 6n })).toBe(IntentOutcome.ACCEPTED);
    await fixture.runs.abortRun({ ...rootOf((await leaseNow(fixture)).runRecord) }, { reason: "", by: "" });
    expect(await send(projection, { fence: 6n }), "what started it once").toBe(IntentOutcome.REPLAYED);
    expect(await send(projection, { fence: 7n }), "a new one").toBe(IntentOutcome.RUN_ENDED);
  });

  test("rule 5: clocks that stay apart end in a failure that says so, one late message does not", async () => {
    const { run, projection } = await admittedRun();
    const late = { expiresAt: { seconds: 1n, nanos: 0 } };
    for (const fence of [1n, 2n]) {
      expect(await send(projection, { ...late, fence })).toBe(IntentOutcome.EXPIRED);
      expect((await fixture.runs.getRun(run)).phase).toBe(Phase.QUEUED);
    }
    expect(await send(projection, { ...late, fence: 3n })).toBe(IntentOutcome.EXPIRED);
    const root = await fixture.runs.getAction(rootOf(run));
    expect(root).toMatchObject({ phase: Phase.FAILED, failure: { code: "intent_expired" } });
  });

  test("a document's digest stands for its run: the same request gives another name another digest (claim TRUST-2)", async () => {
    const one = await admittedRun();
    const two = await admittedRun({ request: one.request });
    expect(two.run.documentDigest).not.toBe(one.run.documentDigest);
    const { documentDigest } = one.projection;
    expect(await send(two.projection, { documentDigest })).toBe(IntentOutcome.DIGEST_MISMATCH);
    expect(await send(one.projection)).toBe(IntentOutcome.ACCEPTED);
    const stored = fromBinary(
      document.RunDocumentSchema,
      await fixture.runs.document(one.run.project, one.run.documentDigest),
    );
    const { project, domain, run: name } = one.run;
    expect(stored).toMatchObject({ org, project, domain, name, cluster, createdBy: one.run.createdBy });
    expect(Buffer.from(stored.request)).toEqual(Buffer.from(one.request));
  });

  test("rule 5: another run's digest, person or cluster is refused, and the run fails visibly", async () => {
    for (const [change, outcome, code] of [
      [{ documentDigest: new Uint8Array(32) }, IntentOutcome.DIGEST_MISMATCH, "digest_mismatch"],
      [{ createdBy: "somebody-else" }, IntentOutcome.SUBJECT_MISMATCH, "subject_mismatch"],
      [{ cluster: "elsewhere" }, IntentOutcome.WRONG_CLUSTER, "wrong_cluster"],
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
    const documentDigest = new Uint8Array(32).fill(9);
    expect(await send({ ...projection, run, documentDigest })).toBe(IntentOutcome.DOCUMENT_MISSING);
    expect(await send(projection)).toBe(IntentOutcome.ACCEPTED);
  });

  test.each([
    ["name", { name: "never-submitted" }, "name_mismatch"],
    ["project", { project: "elsewhere" }, "name_mismatch"],
    ["organization", { org: "other" }, "wrong_organization"],
  ])(
    "a run that is asked for under another %s fails with the reason (claim TRUST-2)",
    async (_, change, code) => {
      const { run, projection } = await admittedRun();
      const other = { ...projection, run: { ...projection.run!, ...change } };
      const isForeign = code === "wrong_organization";
      const refused = isForeign ? IntentOutcome.WRONG_ORGANIZATION : IntentOutcome.DOCUMENT_MISSING;
      expect(await send(other)).toBe(refused);
      const root = await fixture.runs.getAction(rootOf(run));
      expect(root).toMatchObject({ phase: Phase.FAILED, failure: { code } });
      expect(await send(projection)).toBe(IntentOutcome.RUN_ENDED);
    },
  );

  test("an intent that hardly ever expires is refused; an hour is enough (claim TRUST-3)", async () => {
    const at = (inMs: number) => timestampFromMs(fixture.clock.now() + inMs);
    const one = await admittedRun();
    expect(await send(one.projection, { expiresAt: at(2 * hour) })).toBe(IntentOutcome.LIVES_TOO_LONG);
    const root = await fixture.runs.getAction(rootOf(one.run));
    expect(root).toMatchObject({ phase: Phase.FAILED, failure: { code: "intent_lives_too_long" } });
    const other = await admittedRun();
    expect(await send(other.projection, { expiresAt: at(hour) })).toBe(IntentOutcome.ACCEPTED);
  });
});
