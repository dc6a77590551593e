/** The SDK on a whole system: values, storage, retries, failures, sizes, surroundings. */
import { writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { File } from "@biplane/sdk";
import type { RemoteClient } from "@biplane/sdk/remote/client";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type System, startSystem } from "./system.ts";

const workflow = resolve(import.meta.dirname, "workflows/sdk.ts");

let system: System;
let client: RemoteClient;
beforeAll(async () => {
  system = await startSystem();
  client = await system.connect();
});
afterAll(() => system?.close());

async function outputOf(
  task: string,
  input: object = {},
  env: Record<string, string> = {},
): Promise<unknown> {
  const run = await client.run({ file: workflow, task }, input, { env });
  const end = await run.wait();
  if (!end.succeeded) throw new Error(`${task} ${end.phase}: ${end.error}`);
  return run.outputs();
}

test("values of every type go through a sub-action and come back equal", async () => {
  expect(await outputOf("types")).toBe(true);
});

test("folders with odd names and files of several parts are stored and read again", async () => {
  expect(await outputOf("storage", { megabytes: 20 })).toEqual({
    names: ["a+b.txt=one", "sub folder/ünïcode & (more)'*!.txt=two"],
    bytes: 20 * 1024 * 1024,
  });
});

test("the next attempt takes up the checkpoint, and the result of a recorded step", async () => {
  expect(await outputOf("resuming")).toEqual({ attempt: 2, found: "left by 1", stepRan: "in attempt 1" });
});

test("a sub-action's failure is a typed error that its parent can handle", async () => {
  const [final, slow, fine, exit] = (await outputOf("failures")) as string[];
  expect([final, slow, fine]).toEqual(["NonRecoverableError", "timed out", "fine"]);
  expect(exit).toMatch(/^[A-Za-z_]+$/);
  expect(exit).not.toBe("fine");
});

test("what a worker loads late is there: languages of schemas, Node's own headers, names of classes", async () => {
  expect(await outputOf("library")).toEqual({
    told: expect.stringContaining("Zu klein"),
    file: "File",
    folder: "Dir",
    header: "1",
  });
});

test.for([1_000, 200_000, 3_000_000])("%i characters go to a sub-action and back", async (characters) => {
  expect(await outputOf("large", { characters })).toBe(characters);
});

test("a task knows where it runs, its environment and the run's, and reads what was uploaded", async () => {
  const path = join(system.folder, "source.txt");
  writeFileSync(path, "from outside");
  const uri = await client.upload(path);
  const seen = await outputOf("surroundings", { source: new File(uri) }, { GIVEN: "by the run" });
  expect(seen).toEqual({
    project: "flights",
    domain: "development",
    action: "a0",
    task: "sdk.surroundings",
    attempt: "1",
    greeting: "hello",
    given: "by the run",
    source: "from outside",
  });
});
