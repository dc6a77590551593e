/**
 * How long a task's first line takes: from its durable enqueue to the line's durable arrival in the log store, lease,
 * authorization, bundle and sandbox included, beside spawning a bare Node process that prints one line.
 */
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import type { ActionName, AttemptId, RunId } from "@biplane/base";
import { flyte } from "@biplane/data-wire";
import { create, toBinary } from "@bufbuild/protobuf";
import { TestClock, TestControlPlane } from "../planes/data/runs/engine.testing.ts";
import type { RunsModule } from "../planes/data/runs/open.ts";
import { type BenchRow, ratioRow } from "./types.ts";
import { openPlane, scope, type WarmstartPlane } from "./warmstart-plane.ts";

const rounds = 30;
/** Between rounds: blank workers are started ahead, as they are between people's runs. */
const pauseMs = 600;
const warmUps = 3;
const realTime = Object.assign(new TestClock(), { now: () => Date.now() });

export async function run(): Promise<BenchRow[]> {
  if (!existsSync("dist/worker.mjs") || !existsSync("dist/sdk.mjs"))
    throw new Error("dist/ is not built. Run `npm run build` first.");
  const plane = await openPlane();
  const enqueued = watchEnqueues(plane.engine);
  const control = new TestControlPlane({ ...enqueued.engine, clock: realTime }).start();
  const [first, reused, bare]: number[][] = [[], [], []];
  try {
    for (let round = 0; round < rounds + warmUps; round += 1) {
      const record = await startParent(plane);
      const firstLine = await plane.firstLine(record.run, "a0");
      const firstMs = firstLine - (await enqueued.at(record.run));
      await childMs(plane, record, "c0");
      const reusedMs = await childMs(plane, record, "c1");
      await plane.engine.runs.abortRun(record, { reason: "measured", by: "bench" });
      await delay(pauseMs);
      const bareMs = await spawnBare();
      if (round < warmUps) continue;
      first?.push(firstMs);
      reused?.push(reusedMs);
      bare?.push(bareMs);
    }
  } finally {
    await control.stop();
    await plane.close();
  }
  const reference = {
    reference: "bare Node process that prints one line",
    referenceValue: median(bare ?? []),
  };
  const row = (measure: string, values: number[]) =>
    ratioRow({ measure, value: median(values), unit: "ms", ...reference }, { below: 1 });
  return [row("first.p50", first ?? []), row("reused.p50", reused ?? [])];
}

/** A new run; its root action's enqueue is durable when its intent is accepted. */
async function startParent(plane: WarmstartPlane): Promise<RunId> {
  return plane.engine.runs.createRun({
    scope,
    name: undefined,
    createdBy: "bench",
    request: randomBytes(16),
    taskSpec: specOf(plane, "parent"),
    runSpec: toBinary(flyte.task.RunSpecSchema, create(flyte.task.RunSpecSchema)),
    inputUri: plane.inputUri,
    pins: [],
    source: 1,
    runStartTimeMs: Date.now(),
    repeatKey: undefined,
  });
}

/** The first one of its task takes a blank worker, the next one that worker again. */
async function childMs(plane: WarmstartPlane, run: RunId, name: string): Promise<number> {
  const parent = { ...run, action: "a0" as ActionName, attempt: 1 } as AttemptId;
  const child = {
    name: name as ActionName,
    group: "",
    taskSpec: specOf(plane, "line"),
    inputUri: plane.inputUri,
  };
  await plane.engine.runs.enqueueChildren(parent, [child]);
  const enqueuedAt = performance.now();
  const line = await plane.firstLine(run.run, name);
  await ended(plane.engine, { ...parent, action: name as ActionName });
  return line - enqueuedAt;
}

async function ended(engine: RunsModule, action: AttemptId): Promise<void> {
  const signal = AbortSignal.timeout(10_000);
  for await (const record of engine.runs.watchAction(action, signal)) {
    if (record.endedAtMs !== undefined) return;
  }
}

function specOf(plane: WarmstartPlane, task: string): Uint8Array {
  const args = ["biplane-worker", "--tgz", plane.bundleUri, "--task", task, "--inputs", "{{.input}}"];
  const template = {
    id: { name: task, version: "v1", ...scope },
    type: "typescript",
    target: { case: "container", value: { args } },
  } as const;
  return toBinary(
    flyte.task.TaskSpecSchema,
    create(flyte.task.TaskSpecSchema, { shortName: task, taskTemplate: template }),
  );
}

/** Notes when each run's intent was durable. */
function watchEnqueues(engine: RunsModule) {
  const times = new Map<string, number>();
  const intents: RunsModule["intents"] = {
    acceptIntent: async (intent) => {
      const outcome = await engine.intents.acceptIntent(intent);
      times.set(intent.run?.name ?? "", performance.now());
      return outcome;
    },
  };
  return {
    engine: { outbox: engine.outbox, intents },
    at: async (run: string): Promise<number> => {
      while (!times.has(run)) await delay(1);
      return times.get(run) ?? 0;
    },
  };
}

function spawnBare(): Promise<number> {
  const started = performance.now();
  const child = spawn(process.execPath, ["-e", "console.log('one line')"], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  return new Promise((resolve) => child.stdout.once("data", () => resolve(performance.now() - started)));
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((left, right) => left - right);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}
