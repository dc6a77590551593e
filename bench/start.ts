/** How soon a submitted run is durable in both planes and acknowledged, through the edge. */
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

const warmups = 20;
const submissions = 200;
const ratioMax = 5;

export async function run(): Promise<BenchRow[]> {
  await using system = await startSystem();
  const client = await system.connect();
  const specOf = await uploadTasks(client);
  const submit = await prepareRun(client, specOf("add-one"), { n: 1 });
  const times: number[] = [];
  for (let index = 0; index < warmups + submissions; index += 1) {
    let created: Awaited<ReturnType<typeof submit>> | undefined;
    const ms = await timed(async () => {
      created = await submit();
    });
    // The run's own work would share the processors with the next submission.
    await untilEnd(client, created!);
    if (index >= warmups) times.push(ms);
  }
  const measured = percentiles(times);
  const baseline = await durableTransactionsMs([1, 1]);
  const row = { unit: "ms", reference: "two durable transactions, one on each of two PGlite databases" };
  return [
    ratioRow(
      { ...row, measure: "ack.p50", value: measured.p50, referenceValue: baseline.p50 },
      { atMost: ratioMax },
    ),
    ratioRow(
      { ...row, measure: "ack.p99", value: measured.p99, referenceValue: baseline.p99 },
      { atMost: ratioMax },
    ),
  ];
}
