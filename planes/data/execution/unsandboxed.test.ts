/** Machines where no sandbox can be made: here, because bubblewrap is not on the path. */
import { mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { nameOf, processTree } from "./sandbox/process-tree.ts";
import type { Installation } from "./sandbox/types.ts";
import { buildInstallation } from "./testing/installation.ts";
import { TestExecutor } from "./testing/test-executor.ts";

const source = `
import { spawn } from "node:child_process";
export async function hello() { console.log("hello"); return String(process.pid); }
export async function endless() { spawn("sleep", ["1000"], { stdio: "ignore" }); setInterval(() => {}, 1000); await new Promise(() => {}); }
export async function eats() { const held = []; for (;;) { held.push(Buffer.alloc(8 << 20, 1)); await new Promise((resolve) => setTimeout(resolve, 1)); } }
`;

const path = process.env["PATH"];
let folder = "";
let installation: Installation;

beforeAll(async () => {
  installation = await buildInstallation();
  folder = mkdtempSync(join(tmpdir(), "biplane-path-"));
  symlinkSync("/bin/sh", join(folder, "sh"));
  process.env["PATH"] = folder;
});
afterAll(() => {
  process.env["PATH"] = path;
  rmSync(folder, { recursive: true, force: true });
});

test("without bubblewrap the executor refuses to start and says what to install", async () => {
  await expect(TestExecutor.start({ installation, allowUnsandboxed: false }, source)).rejects.toThrow(
    /`bwrap` .* is not installed.*apt-get install bubblewrap.*--allow-unsandboxed/,
  );
});

test("told to, it runs tasks without a sandbox, and still ends what they start", async () => {
  const system = await TestExecutor.start({ installation }, source);
  expect(system.executor.sandboxKind).toBe("none");
  expect((await system.run({ action: "hello", task: "hello" })).kind).toBe("succeeded");
  expect(await system.text({ action: "hello" })).toBe("hello\n");
  const again = await system.run({ action: "again", task: "hello" });
  expect(again.kind).toBe("succeeded");
  expect(system.outputs({ action: "again" })).toBe(system.outputs({ action: "hello" }));

  const endless = await system.run({ action: "endless", task: "endless", timeoutMs: 400 });
  expect(endless.kind).toBe("timed_out");
  const eats = await system.run({ action: "eats", task: "eats", memory: "256Mi" });
  expect(eats).toMatchObject({ failure: { code: "OOMKilled" } });
  await system.close();
  expect(sleepersBelow(process.pid)).toBe(0);
});

function sleepersBelow(pid: number): number {
  return processTree(pid).filter((one) => nameOf(one) === "sleep").length;
}
