/** A kill can't show whether an acknowledged write was on the disk or in the kernel's memory only: count the syncs. */
import { resolve } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { flyte } from "@biplane/data-wire";
import { createClient } from "@connectrpc/connect";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type System, startSystem } from "../e2e/system.ts";
import { type Sync, type SyncWatch, watchSyncs } from "../support/syncs.ts";
import { describeWithTools } from "../support/tools.ts";

const workflow = resolve(import.meta.dirname, "../e2e/workflows/numbers.ts");
const submissions = 10;
/** Longer than a run of one action and the reports about it take, so that nothing else writes meanwhile. */
const quietMs = 1_500;

describeWithTools("acknowledged writes, seen by the system calls of both planes", ["strace"], () => {
  let system: System;
  let watches: Record<"control" | "data", SyncWatch>;
  beforeAll(async () => {
    system = await startSystem();
    watches = { control: await watchSyncs(system.control.pid), data: await watchSyncs(system.data.pid) };
  });
  afterAll(async () => {
    for (const watch of Object.values(watches ?? {})) await watch.stop();
    await system?.close();
  });

  const logSyncs = (plane: "control" | "data", fromMs: number, toMs: number): Sync[] =>
    watches[plane].syncs.filter(
      ({ atMs, path }) => atMs >= fromMs && atMs <= toMs && path.includes("/pg_wal/"),
    );

  test("every acknowledged run was synced by the data plane first, then by the control plane (rule of state 3)", async () => {
    const client = await system.connect();
    for (let index = 0; index < submissions; index += 1) {
      const fromMs = wallClockMs();
      const run = await client.run({ file: workflow, task: "add-one" }, { n: index });
      const toMs = wallClockMs();
      // What strace prints comes a moment after the call.
      await pause(quietMs);
      const first = logSyncs("data", fromMs, toMs)[0];
      expect(first, `run ${run.name} was acknowledged without a sync of the data plane`).toBeDefined();
      const after = logSyncs("control", first!.atMs, toMs);
      expect(
        after.length,
        `run ${run.name} was acknowledged without a sync of the control plane`,
      ).toBeGreaterThan(0);
    }
  });

  test("control: a read syncs no database", async () => {
    const runs = createClient(flyte.workflow.RunService, system.transport());
    await pause(quietMs);
    const fromMs = wallClockMs();
    await runs.listRuns({ request: { limit: 1 }, scopeBy: { case: "org", value: "acme" } });
    await pause(quietMs);
    expect(logSyncs("control", fromMs, wallClockMs())).toEqual([]);
  });
});

function wallClockMs(): number {
  return performance.timeOrigin + performance.now();
}
