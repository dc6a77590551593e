/**
 * The runs engine alone: actions per second from enqueueing to the recorded end, at three sizes of one run. No
 * executor, no network, no sandbox: what remains is deciding, committing and telling.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  attemptOf,
  child,
  type Fixture,
  leaseNow,
  openFixture,
  startRun,
  success,
} from "../planes/data/runs/engine.testing.ts";
import { absoluteRow, type BenchRow } from "./types.ts";

const sizes = [1_000, 10_000, 50_000] as const;
const takers = 64;
const childrenPerRequest = 500;

export async function run(): Promise<BenchRow[]> {
  const rows: BenchRow[] = [];
  for (const size of sizes) {
    const folder = await mkdtemp(join(tmpdir(), "biplane-bench-engine-"));
    const fixture = await openFixture({ folder });
    try {
      rows.push(...(await measure(fixture, size)));
    } finally {
      await fixture.close();
      await rm(folder, { recursive: true, force: true });
    }
  }
  return rows;
}

async function measure(fixture: Fixture, size: number): Promise<BenchRow[]> {
  const root = await startRun(fixture);
  const before = usedBytes();
  const begun = performance.now();
  await Promise.all([enqueue(fixture, attemptOf(root), size), ...takersOf(fixture, size)]);
  const seconds = (performance.now() - begun) / 1_000;
  const bytes = (usedBytes() - before) / size;
  await fixture.queue.finish(attemptOf(root), success);
  return [
    orientation(`engine.${size}`, size / seconds, "actions/s"),
    orientation(`engine.memory.${size}`, bytes, "B/action"),
  ];
}

/** Exact with `--expose-gc`; else garbage that nobody has collected yet counts too. */
function usedBytes(): number {
  globalThis.gc?.();
  return process.memoryUsage().heapUsed;
}

function orientation(measure: string, value: number, unit: string): BenchRow {
  return absoluteRow({ measure, value: Math.round(value), unit, reference: "none: for orientation" }, {});
}

async function enqueue(fixture: Fixture, parent: ReturnType<typeof attemptOf>, size: number): Promise<void> {
  const first = child("first");
  for (let start = 0; start < size; start += childrenPerRequest) {
    const count = Math.min(childrenPerRequest, size - start);
    const children = Array.from({ length: count }, (_, index) => ({
      ...first,
      name: `c${start + index}` as typeof first.name,
    }));
    await fixture.runs.enqueueChildren(parent, children);
  }
}

function takersOf(fixture: Fixture, size: number): Promise<void>[] {
  let left = size;
  return Array.from({ length: takers }, async () => {
    while (left > 0) {
      left -= 1;
      await fixture.queue.finish(attemptOf(await leaseNow(fixture, 60_000)), success);
    }
  });
}
