import { day } from "@biplane/base";
import { type Command, CommandOutcome, CommandSchema, Phase } from "@biplane/control-wire";
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { afterAll, beforeAll, expect, test } from "vitest";
import { describeOnBothDatabases } from "../../../tests/support/postgres.ts";
import { type Fixture, openFixture, rootOf, startRun } from "./engine.testing.ts";
import type { RunRecord } from "./types.ts";

describeOnBothDatabases("Commands", (fresh) => {
  let fixture: Fixture;
  let allowed: number;
  beforeAll(async () => {
    fixture = await openFixture(await fresh());
  });
  afterAll(() => fixture.close());

  function abortOf(run: RunRecord, change: { id?: string; org?: string; by?: string; inMs?: number } = {}) {
    const { project, domain, run: name } = run;
    return create(CommandSchema, {
      id: change.id ?? `c-${Math.random().toString(36).slice(2)}`,
      expiresAt: timestampFromMs(fixture.clock.now() + (change.inMs ?? day)),
      command: {
        case: "abortRun",
        value: {
          run: { org: change.org ?? run.org, project, domain, name },
          requestedBy: change.by ?? "ada",
        },
      },
    });
  }

  function obey(command: Command): Promise<CommandOutcome> {
    allowed = 0;
    return fixture.commands.obeyCommand(command, async () => {
      allowed += 1;
    });
  }

  const phaseOf = async (run: RunRecord) => (await fixture.runs.getRun(run)).phase;

  test("a command works once: the same one again is refused, also after a restart (claim TRUST-3)", async () => {
    const { runRecord: run } = await startRun(fixture);
    const command = abortOf(run);
    expect(await obey(command)).toBe(CommandOutcome.DONE);
    expect(allowed).toBe(1);
    expect(await phaseOf(run)).toBe(Phase.ABORTED);
    expect((await fixture.runs.getAction(rootOf(run))).abort?.by).toBe("ada");
    expect(await obey(command)).toBe(CommandOutcome.REPLAYED);
    await fixture.reopen();
    expect(await obey(command)).toBe(CommandOutcome.REPLAYED);
    expect(allowed).toBe(0);
  });

  test("a command's id can't be used for another run, nor kept for one that comes later (claim TRUST-3)", async () => {
    const { runRecord: one } = await startRun(fixture);
    const { runRecord: two } = await startRun(fixture);
    const early = abortOf({ ...one, run: "not-there-yet" } as unknown as RunRecord, { id: "early" });
    expect(await obey(early)).toBe(CommandOutcome.NOT_FOUND);
    expect(await obey(abortOf(one, { id: "early" }))).toBe(CommandOutcome.REPLAYED);
    expect(await obey(abortOf(one, { id: "used" }))).toBe(CommandOutcome.DONE);
    expect(await obey(abortOf(two, { id: "used" }))).toBe(CommandOutcome.REPLAYED);
    expect(await phaseOf(two)).not.toBe(Phase.ABORTED);
    expect(await obey(abortOf(two))).toBe(CommandOutcome.DONE);
  });

  test.each([
    ["of another organization", { org: "other" }, CommandOutcome.REFUSED],
    ["that names nobody", { by: "" }, CommandOutcome.REFUSED],
    ["whose id could be anything", { id: "a b" }, CommandOutcome.REFUSED],
    ["that lives longer than its id is remembered", { inMs: 2 * day }, CommandOutcome.REFUSED],
    ["that expired", { inMs: 0 }, CommandOutcome.EXPIRED],
  ])("a command %s is refused and ends nothing (claim TRUST-3)", async (_, change, outcome) => {
    const { runRecord: run } = await startRun(fixture);
    expect(await obey(abortOf(run, change))).toBe(outcome);
    expect(allowed).toBe(0);
    expect(await phaseOf(run)).not.toBe(Phase.ABORTED);
  });

  test("what can't be recorded does not happen", async () => {
    const { runRecord: run } = await startRun(fixture);
    const failing = fixture.commands.obeyCommand(abortOf(run), () => Promise.reject(new Error("disk full")));
    await expect(failing).rejects.toThrow("disk full");
    expect(await phaseOf(run)).not.toBe(Phase.ABORTED);
  });
});
