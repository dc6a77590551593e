/** How many small runs a second one machine starts and finishes, many at once. */
import type { RemoteClient } from "@biplane/sdk/remote/client";
import { startSystem } from "../tests/e2e/system.ts";
import { durableTransactionsMs, prepareRun, untilEnd, uploadTasks } from "./runs-common.ts";
import { type BenchRow, ratioRow } from "./types.ts";

const concurrency = 32;
const warmups = 50;
const runs = 500;

export async function run(): Promise<BenchRow[]> {
  await using system = await startSystem();
  const client = await system.connect();
  const specOf = await uploadTasks(client);
  const oneAction = await runsPerSecond(client, specOf("add-one"));
  const oneStep = await runsPerSecond(client, specOf("one-step"));
  const { p50 } = await durableTransactionsMs([1]);
  const row = {
    unit: "runs/s",
    reference: "durable transactions a second on a PGlite database",
    referenceValue: 1_000 / p50,
  };
  return [
    ratioRow({ ...row, measure: "runs.action", value: oneAction }, {}),
    ratioRow({ ...row, measure: "runs.step", value: oneStep }, {}),
  ];
}

async function runsPerSecond(client: RemoteClient, spec: Parameters<typeof prepareRun>[1]): Promise<number> {
  const submit = await prepareRun(client, spec, { n: 1 });
  await inParallel(warmups, async () => untilEnd(client, await submit()));
  const start = performance.now();
  await inParallel(runs, async () => untilEnd(client, await submit()));
  return runs / ((performance.now() - start) / 1_000);
}

async function inParallel(count: number, work: () => Promise<void>): Promise<void> {
  let left = count;
  const worker = async () => {
    while (left > 0) {
      left -= 1;
      await work();
    }
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
}
