/** With the control plane gone a run goes on, is watched and read, and is on the index when it is back (AVL-1, FLOW-5). */
import { resolve } from "node:path";
import { progress } from "@biplane/data-wire";
import type { RemoteClient, RemoteRun } from "@biplane/sdk/remote/client";
import { eventually } from "@biplane/verify/frame/eventually";
import { createClient } from "@connectrpc/connect";
import { afterAll, beforeAll, expect, test } from "vitest";
import { controlPlaneRecords, dataPlaneRecords } from "./run-records.ts";
import { type System, startSystem } from "./system.ts";

const workflow = resolve(import.meta.dirname, "workflows/numbers.ts");
const width = 60;

let system: System;
let client: RemoteClient;
beforeAll(async () => {
  system = await startSystem();
  client = await system.connect();
});
afterAll(() => system?.close());

async function watchedPhases(run: RemoteRun): Promise<number[]> {
  const watch = createClient(progress.ProgressService, system.transport());
  const phases: number[] = [];
  for await (const { phase } of watch.watchProgress({ run: run.id }))
    if (phases.at(-1) !== phase) phases.push(phase);
  return phases;
}

test("a run finishes without the control plane, is served throughout, and is reconciled afterwards", async () => {
  const run = await client.run({ file: workflow, task: "squares" }, { width, pauseMs: 100 });
  await system.control.kill();
  const phases = watchedPhases(run);
  expect(await run.wait(AbortSignal.timeout(120_000))).toMatchObject({ succeeded: true });
  expect((await phases).at(-1)).toBe(5);
  expect(await run.outputs()).toEqual(Array.from({ length: width }, (_, n) => n * n));
  const actions = await dataPlaneRecords(client, run);
  expect(actions).toHaveLength(width + 1);
  const child = actions.find(({ parent }) => parent === "a0")!;
  const lines: string[] = [];
  for await (const { text } of run.logs({ action: child.name })) lines.push(text);
  expect(lines.join("\n")).toMatch(/squaring \d+/);
  expect((await client.list()).map(({ name }) => name)).toContain(run.name);

  await system.control.start();
  await eventually(
    () => controlPlaneRecords(client, run),
    (index) => JSON.stringify(index) === JSON.stringify(actions),
    {
      withinMs: 60_000,
      what: "The index holding every action and attempt with its true times",
    },
  );
});

test("control: without the control plane no new run is accepted, and the refusal says so (rule of state 3)", async () => {
  await system.control.stop();
  const refused = client.run({ file: workflow, task: "add-one" }, { n: 1 });
  await expect(refused).rejects.toThrow(/control plane/i);
  await system.control.start();
  const run = await eventually(
    () => client.run({ file: workflow, task: "add-one" }, { n: 1 }),
    () => true,
    {
      withinMs: 60_000,
      what: "A run being accepted again",
    },
  );
  expect(await run.wait()).toMatchObject({ succeeded: true });
});
