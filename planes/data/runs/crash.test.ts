import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { rm } from "node:fs/promises";
import { createInterface } from "node:readline";
import { type AttemptId, rootAction } from "@biplane/base";
import { isTerminal, Phase } from "@biplane/control-wire";
import { newKey } from "@biplane/kit/crypto";
import { openDatabase } from "@biplane/kit/database";
import { createLogger } from "@biplane/kit/logging";
import { expect, test } from "vitest";
import { describeOnBothDatabases, type TestDatabase } from "../../../tests/support/postgres.ts";
import { dataMigrations } from "../store/migrations.ts";
import type { DataSchema } from "../store/schema.ts";
import type { Acknowledged } from "./crash.testing.ts";
import {
  actionOf,
  cluster,
  keysFolder,
  openProjectKeys,
  org,
  scope,
  success,
  TestClock,
} from "./engine.testing.ts";
import { openRuns, type RunsModule } from "./open.ts";
import type { RunRecord } from "./types.ts";

const kills = 3;
const root = new URL("../../../", import.meta.url).pathname;

describeOnBothDatabases("kill -9 of the engine", (fresh) => {
  test("loses and doubles nothing that was acknowledged, at whatever moment it comes (claim AVL-2)", async () => {
    const place = await fresh();
    const key = newKey();
    const seen: Acknowledged[] = [];
    const seed = Math.floor(performance.timeOrigin) % 1_000;
    for (let kill = 0; kill < kills; kill += 1) {
      seen.push(...(await runUntilKilled(place, key.reveal(), 300 + ((seed + kill * 389) % 700))));
    }
    expect(seen.filter(({ kind }) => kind === "finished").length, `seed ${seed}`).toBeGreaterThan(5);
    const database = await openDatabase<DataSchema>(place, dataMigrations);
    const log = createLogger({ component: "test", level: "silent" });
    const projectKeys = await openProjectKeys(place.folder, key);
    const module = await openRuns({
      ...{ database, org, cluster, keys: key, projectKeys, bucket: "biplane", clock: new TestClock(), log },
    });
    try {
      // Control: a comparison that missed a lost run would prove nothing.
      const invented: Acknowledged = { kind: "created", run: "r-never-created" };
      await expect(compare(module, [invented], "control")).rejects.toMatchObject({ code: "not_found" });
      await compare(module, seen, `seed ${seed}`);
    } finally {
      await module.close();
      await projectKeys.close();
      await database.close();
      await rm(keysFolder(place.folder), { recursive: true });
    }
  }, 180_000);
});

async function runUntilKilled(
  place: TestDatabase,
  key: Uint8Array,
  afterMs: number,
): Promise<Acknowledged[]> {
  const child = spawn(
    process.execPath,
    [
      "--import",
      `${root}tools/typescript.mjs`,
      `${root}planes/data/runs/crash.testing.ts`,
      place.folder,
      Buffer.from(key).toString("hex"),
      place.url ?? "",
    ],
    { cwd: root, stdio: ["ignore", "pipe", "inherit"] },
  );
  const lines: string[] = [];
  const reading = createInterface({ input: child.stdout! }).on("line", (line) => lines.push(line));
  await waitForReady(child, lines);
  await new Promise((resolve) => setTimeout(resolve, afterMs));
  child.kill("SIGKILL");
  await Promise.all([once(child, "close"), once(reading, "close")]);
  // The kill may have cut the last line.
  return lines.flatMap((line) => (line.startsWith("{") && line.endsWith("}") ? [JSON.parse(line)] : []));
}

async function waitForReady(child: ChildProcess, lines: readonly string[]): Promise<void> {
  for (let waited = 0; !lines.includes("ready"); waited += 1) {
    if (child.exitCode !== null || waited > 1_200) throw new Error("The engine's process did not start.");
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function compare(module: RunsModule, seen: readonly Acknowledged[], seed: string): Promise<void> {
  const interrupted = await module.queue.interrupted();
  for (const item of seen) {
    if (item.kind === "created") {
      expect((await module.runs.getRun(runOf(item.run))).admission, seed).toBe("admitted");
    } else if (item.kind === "enqueued") {
      expect(await module.runs.getAction(actionOf(runOf(item.run), item.action)), seed).toBeDefined();
    } else {
      const { attempts } = await module.runs.getAction(item.id);
      const attempt = attempts[item.id.attempt - 1];
      const isInterrupted = interrupted.some(
        ({ run, action, attempt: number }) =>
          run === item.id.run && action === item.id.action && number === item.id.attempt,
      );
      if (item.kind === "leased") expect(isTerminal(attempt!.phase) !== isInterrupted, seed).toBe(true);
      else expect(attempt?.phase, seed).toSatisfy((phase: Phase) => agrees(phase, item.outcome));
    }
  }
  const finished = seen.flatMap((item) =>
    item.kind === "finished" ? [`${item.id.run}/${item.id.action}/${item.id.attempt}`] : [],
  );
  expect(new Set(finished).size, `${seed}: no attempt is finished twice`).toBe(finished.length);
  // Roots last: a parent that ends takes its open children with it.
  for (const id of interrupted.toSorted((left, right) => isRoot(left) - isRoot(right))) {
    await module.queue.finish(id, success);
    expect((await module.runs.getAction(id)).attempts[id.attempt - 1]?.phase, seed).toBe(Phase.SUCCEEDED);
  }
}

function isRoot({ action }: AttemptId): number {
  return action === rootAction ? 1 : 0;
}

/** An abort by an ended parent may have come first; then it stands. */
function agrees(phase: Phase, outcome: string): boolean {
  return phase === Phase.ABORTED || phase === (outcome === "succeeded" ? Phase.SUCCEEDED : Phase.FAILED);
}

function runOf(name: string): RunRecord {
  return { ...scope, run: name } as unknown as RunRecord;
}
