/** How long a whole run of three recorded steps, or of three actions, takes from its submission to its end. */
import type { RemoteClient } from "@biplane/sdk/remote/client";
import { startSystem } from "../tests/e2e/system.ts";
import {
  durableTransactionsMs,
  percentiles,
  prepareRun,
  timed,
  untilEnd,
  uploadTasks,
} from "./runs-common.ts";
import { type BenchRow, ratioRow } from "./types.ts";

const warmups = 5;
const runs = 50;
const ratioMax = 10;

export async function run(): Promise<BenchRow[]> {
  await using system = await startSystem();
  const client = await system.connect();
  const specOf = await uploadTasks(client);
  const steps = await medianRunMs(client, specOf("three-steps"));
  const actions = await medianRunMs(client, specOf("three-actions"));
  const { p50 } = await durableTransactionsMs([3]);
  const row = {
    unit: "ms",
    reference: "three durable transactions on a PGlite database",
    referenceValue: p50,
  };
  return [
    ratioRow({ ...row, measure: "step.p50", value: steps }, { atMost: ratioMax }),
    ratioRow({ ...row, measure: "action.p50", value: actions }, { atMost: ratioMax }),
  ];
}

async function medianRunMs(client: RemoteClient, spec: Parameters<typeof prepareRun>[1]): Promise<number> {
  const submit = await prepareRun(client, spec, { n: 1 });
  const times: number[] = [];
  for (let index = 0; index < warmups + runs; index += 1) {
    const ms = await timed(async () => untilEnd(client, await submit()));
    if (index >= warmups) times.push(ms);
  }
  return percentiles(times).p50;
}
