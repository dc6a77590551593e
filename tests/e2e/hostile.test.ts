/** A task that tries to get out of its sandbox on a live system: every attempt is refused, and reported (TASK rights, TRUST-2). */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { connect } from "node:net";
import { join, resolve } from "node:path";
import type { RemoteClient } from "@biplane/sdk/remote/client";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Attempt } from "../../examples/hostile/attempt.ts";
import { describeWithTools } from "../support/tools.ts";
import { domain, org, project, type System, startSystem } from "./system.ts";

const workflow = resolve(import.meta.dirname, "../../examples/hostile/index.ts");
const secretText = "what one run keeps from another";

let system: System;
let client: RemoteClient;
let ports: number[];
let stateFiles: string[];
let otherRun: string;

describeWithTools("a hostile task in a sandbox", ["bubblewrap"], () => {
  beforeAll(async () => {
    system = await startSystem();
    client = await system.connect();
    const { router, authority, objects } = system.profile;
    ports = [router, authority, objects].map((address) => Number(new URL(address).port));
    const state = join(system.folder, "data");
    stateFiles = readdirSync(state, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name))
      .slice(0, 50);
    const run = await client.run({ file: workflow, task: "secretive" }, { text: secretText });
    expect(await run.wait(AbortSignal.timeout(60_000))).toMatchObject({ succeeded: true });
    otherRun = run.name;
  });
  afterAll(() => system?.close());

  test("everything that a hostile task tries is refused and reported", async () => {
    const scope = `s3://biplane/${org}/${project}/${domain}/`;
    const targets = {
      ports,
      files: [...stateFiles, `/proc/${system.data.pid}/environ`],
      processes: [system.data.pid, system.control.pid, system.edge.pid, process.pid],
      objects: ["outputs.pb", "outcome.pb"].map((name) => `${scope}${otherRun}/a0/1/${name}`),
      folders: [`${scope}${otherRun}/`, `${scope}uploads/`, scope],
    };
    const run = await client.run({ file: workflow, task: "hostile" }, targets);
    expect(await run.wait(AbortSignal.timeout(120_000))).toMatchObject({ succeeded: true });
    const attempts = (await run.outputs()) as Attempt[];
    expect(attempts.filter(({ refused }) => !refused)).toEqual([]);
    const kinds = [
      "network",
      "read file",
      "write file",
      "process memory",
      "read object",
      "list objects",
      "mount",
    ];
    for (const kind of kinds) expect(attempts.map((one) => one.kind)).toContain(kind);
    expect(attempts.length).toBeGreaterThanOrEqual(stateFiles.length + 25);
    expect(JSON.stringify(attempts)).not.toContain(secretText);

    const lines: string[] = [];
    for await (const { text } of run.logs()) lines.push(text);
    expect(lines.filter((line) => line.startsWith("refused"))).toHaveLength(attempts.length);
  });

  test("control: what was refused is there, for those who may", async () => {
    for (const port of ports) expect(await dial(port)).toBe("connected");
    // A running plane replaces some of its files.
    const present = stateFiles.filter((path) => existsSync(path));
    expect(present.length).toBeGreaterThan(stateFiles.length / 2);
    for (const path of present) expect(readFileSync(path)).toBeInstanceOf(Buffer);
    expect(process.kill(system.data.pid, 0)).toBe(true);
    const other = (await client.list()).find(({ name }) => name === otherRun);
    expect(other).toBeDefined();
  });
});

function dial(port: number): Promise<string> {
  return new Promise((answer) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("connect", () => {
      socket.destroy();
      answer("connected");
    });
    socket.once("error", ({ message }) => answer(message));
  });
}
