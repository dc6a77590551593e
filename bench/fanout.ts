/** How fast one run works through many sub-actions, and what each process keeps in memory for them. */
import type { RemoteClient } from "@biplane/sdk/remote/client";
import { type System, startSystem } from "../tests/e2e/system.ts";
import { descendants } from "../verify/machine/process-tree.ts";
import { residentBytes } from "../verify/search/process-memory.ts";
import { prepareRun, timed, untilEnd, uploadTasks } from "./runs-common.ts";
import { absoluteRow, type BenchRow, ratioRow } from "./types.ts";

const widths = [1_000, 10_000, 50_000];
const lastToFirstMin = 0.7;
const sampleMs = 250;
/** Memory grows linearly or better: per action, the largest fan-out takes no more than this share of the first one's. */
const perActionMax = 1;

interface Measured {
  readonly width: number;
  readonly actionsPerSecond: number;
  /** Growth over the idle system at its peak, by process. */
  readonly grownBytes: Readonly<Record<string, number>>;
}

export async function run(): Promise<BenchRow[]> {
  const measured: Measured[] = [];
  for (const width of widths) measured.push(await measure(width));
  const [first] = measured;
  return measured.flatMap((one, index) => [
    ratioRow(
      {
        measure: `actions.${one.width}`,
        value: one.actionsPerSecond,
        unit: "actions/s",
        reference: `the same with ${first!.width} actions`,
        referenceValue: first!.actionsPerSecond,
      },
      index === measured.length - 1 ? { atLeast: lastToFirstMin } : {},
    ),
    ...memoryRows(one, first!),
  ]);
}

function memoryRows(one: Measured, first: Measured): BenchRow[] {
  return Object.entries(one.grownBytes).map(([name, bytes]) => {
    const row = {
      measure: `memory.${name}.${one.width}`,
      value: Math.round(bytes / one.width),
      unit: "bytes/action",
    };
    if (one === first) return absoluteRow({ ...row, reference: "none: this one is the reference" }, {});
    const referenceValue = Math.max(1, Math.round((first.grownBytes[name] ?? 0) / first.width));
    const goal = one.width === widths.at(-1) ? { atMost: perActionMax } : {};
    return ratioRow({ ...row, reference: `the same with ${first.width} actions`, referenceValue }, goal);
  });
}

/** Each width has a system of its own, so that none finds the memory that another has left. */
async function measure(width: number): Promise<Measured> {
  await using system = await startSystem();
  const client = await system.connect();
  const specOf = await uploadTasks(client);
  await fanOut(client, specOf("squares"), 100);
  const idle = processes(system);
  const peak = { ...idle };
  const sampler = setInterval(() => {
    for (const [name, bytes] of Object.entries(processes(system)))
      peak[name] = Math.max(peak[name] ?? 0, bytes);
  }, sampleMs);
  const ms = await fanOut(client, specOf("squares"), width).finally(() => clearInterval(sampler));
  const grown = Object.entries(peak).map(([name, bytes]) => [name, bytes - (idle[name] ?? 0)]);
  return { width, actionsPerSecond: width / (ms / 1_000), grownBytes: Object.fromEntries(grown) };
}

async function fanOut(
  client: RemoteClient,
  spec: Parameters<typeof prepareRun>[1],
  width: number,
): Promise<number> {
  const submit = await prepareRun(client, spec, { width, pauseMs: 0 });
  return timed(async () => untilEnd(client, await submit()));
}

/** Own memory of each process; of the workers the largest, which is the one that holds the fan-out's parent. */
function processes(system: System): Record<string, number> {
  const workers = descendants(system.data.pid).flatMap(({ pid }) => {
    try {
      return [residentBytes(pid)];
    } catch {
      return [];
    }
  });
  return {
    control: residentBytes(system.control.pid),
    edge: residentBytes(system.edge.pid),
    data: residentBytes(system.data.pid),
    worker: Math.max(0, ...workers),
  };
}
