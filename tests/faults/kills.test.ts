/** Seeded kills during fan-outs: nothing is lost, doubled or reordered, and both planes agree in the end (AVL-1, AVL-2). */
import { resolve } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { eventually } from "@biplane/verify/frame/eventually";
import { type Random, seededRandom } from "@biplane/verify/frame/random";
import { descendants } from "@biplane/verify/machine/process-tree";
import { afterAll, beforeAll, expect, test } from "vitest";
import { controlPlaneRecords, dataPlaneRecords } from "../e2e/run-records.ts";
import { type System, startSystem } from "../e2e/system.ts";
import { violations } from "./model.ts";
import { faultSeeds } from "./seeds.ts";

const workflow = resolve(import.meta.dirname, "../e2e/workflows/numbers.ts");
const width = 60;
/** An action survives three deaths of its process; a fourth would fail it, as documented. */
const killsMax = 3;
const victims = ["control", "edge", "data", "worker"] as const;

let system: System;
beforeAll(async () => {
  system = await startSystem();
});
afterAll(() => system?.close());

test.each(faultSeeds())(
  "seed %i: a fan-out survives kills of control plane, edge, data plane and workers",
  async (seed) => {
    const random = seededRandom(seed);
    const client = await system.connect();
    // The kills of the seed before may have cut the way to the router; here only the run's own life is judged.
    await eventually(
      () => client.list(),
      () => true,
      { withinMs: 30_000, what: `The router being reached again (seed ${seed})` },
    );
    const run = await client.run({ file: workflow, task: "squares" }, { width, pauseMs: 100 });
    const killed = await killAtRandom(random);
    const note = `seed ${seed}, run ${run.name}, killed ${killed.join(", ")}`;
    const result = await run.wait(AbortSignal.timeout(120_000));
    expect(result, note).toMatchObject({ succeeded: true });
    expect(await run.outputs(), note).toEqual(Array.from({ length: width }, (_, n) => n * n));
    const actions = await dataPlaneRecords(client, run);
    expect(violations(actions, width), note).toEqual([]);
    await eventually(
      () => controlPlaneRecords(client, run),
      (index) => JSON.stringify(index) === JSON.stringify(actions),
      {
        withinMs: 60_000,
        what: `The control plane's index agreeing with the data plane (${note})`,
      },
    );
  },
);

async function killAtRandom(random: Random): Promise<string[]> {
  const killed: string[] = [];
  const kills = 1 + random.below(killsMax);
  for (let index = 0; index < kills; index += 1) {
    await pause(random.below(700));
    const victim = random.pick(victims);
    killed.push(victim);
    if (victim === "worker") killWorker(random);
    else {
      await system[victim].kill();
      await pause(random.below(300));
      await system[victim].start();
    }
  }
  return killed;
}

function killWorker(random: Random): void {
  const workers = descendants(system.data.pid).filter(({ command }) => /worker\.(blob|mjs)/.test(command));
  if (workers.length > 0) process.kill(random.pick(workers).pid, "SIGKILL");
}
