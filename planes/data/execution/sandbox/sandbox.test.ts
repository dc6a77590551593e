/** What a sandbox keeps out, tried from inside; the same attempts without one are the control. */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MiB } from "@biplane/base";
import { build } from "esbuild";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { describeWithTools, skip } from "../../../../tests/support/tools.ts";
import type { SandboxProgramArguments } from "../testing/sandbox-program.ts";
import { Cgroups } from "./cgroups.ts";

const nobody = 65_534;
const isRoot = process.getuid?.() === 0;
let folder = "";
let program = "";
let neighbour: Server;
let neighbourPort = 0;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "biplane-sandbox-"));
  chmodSync(folder, 0o755);
  program = join(folder, "program.mjs");
  await bundle("../testing/sandbox-program.ts", program);
  await bundle("spawner-process.ts", join(folder, "sandbox-spawner.mjs"));
  neighbour = createServer((socket) => socket.on("error", () => {}).end("hello"));
  await new Promise<void>((resolve) => neighbour.listen(0, "127.0.0.1", resolve));
  neighbourPort = (neighbour.address() as { port: number }).port;
  writeFileSync(join(folder, "state.key"), "the plane's key", { mode: 0o644 });
});

afterAll(() => {
  neighbour.close();
  rmSync(folder, { recursive: true, force: true });
});

async function bundle(entry: string, outfile: string): Promise<void> {
  await build({
    entryPoints: [join(import.meta.dirname, entry)],
    outfile,
    bundle: true,
    platform: "node",
    format: "esm",
    banner: {
      js: 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);',
    },
    logLevel: "error",
  });
}

interface Facts {
  uid: number;
  capabilities: string;
  neighbour: string;
  metadata: string;
  stateFile: string;
  processes: number;
  signal: string;
  writes: string[];
  userNamespace: string;
  mount: string;
}

/** Runs in the sandbox as CommonJS and prints what it found. */
function factsScript(): string {
  return `
const { readFileSync, readdirSync, writeFileSync } = require("node:fs");
const { execFileSync } = require("node:child_process");
const { connect } = require("node:net");
const tryIt = (work) => { try { return String(work()); } catch (error) { return error.code ?? "status " + error.status; } };
const dial = (port, host) => new Promise((resolve) => {
  const socket = connect({ port, host, timeout: 2000 });
  socket.on("connect", () => { resolve("connected"); socket.destroy(); });
  socket.on("timeout", () => { resolve("timeout"); socket.destroy(); });
  socket.on("error", (error) => resolve(error.code));
});
(async () => console.log(JSON.stringify({
  uid: process.getuid(),
  capabilities: /CapEff:\\s*(\\w+)/.exec(readFileSync("/proc/self/status", "utf8"))[1],
  neighbour: await dial(${neighbourPort}, "127.0.0.1"),
  metadata: await dial(80, "169.254.169.254"),
  stateFile: tryIt(() => readFileSync(${JSON.stringify(join(folder, "state.key"))}, "utf8")),
  processes: readdirSync("/proc").filter((name) => /^\\d+$/.test(name)).length,
  signal: tryIt(() => process.kill(${process.pid}, 0)),
  userNamespace: tryIt(() => execFileSync("unshare", ["--user", "--map-root-user", "id", "-u"], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim()),
  mount: tryIt(() => execFileSync("unshare", ["--user", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "none", "/tmp"], { stdio: "ignore" })),
  writes: ["/usr/x", "/x", "/opt/biplane/x", "/run/biplane/x", "/tmp/x"].filter((path) => tryIt(() => writeFileSync(path, "x")) === "undefined"),
})))();`;
}

function findSleepers(mark: string): string {
  return spawnSync("pgrep", ["-x", "-f", `sleep ${mark}`], { encoding: "utf8" }).stdout;
}

type Given = Partial<SandboxProgramArguments> & { script: string };

async function run(given: Given, user?: number): Promise<{ stdout: string }> {
  const { child } = launch(given, user);
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (chunk) => (stdout += chunk));
  child.stderr.on("data", (chunk) => (stderr += chunk));
  await once(child, "close");
  return { stdout: stdout || stderr };
}

/** `stdout` resolves at the first output. */
function launch(given: Given, user?: number) {
  const own = mkdtempSync(join(folder, "run-"));
  const socketFolder = join(own, "sockets");
  mkdirSync(socketFolder);
  for (const path of [own, socketFolder]) chmodSync(path, 0o755);
  if (user !== undefined) chownSync(own, user, user);
  const installation = { node: process.execPath, dist: own, taskModules: undefined };
  const full = { installation, folder: join(own, "etc"), socketFolder, sandboxed: true, ...given };
  const node = ["--", process.execPath, program, JSON.stringify(full)];
  const asUser = user === undefined ? [] : [`--reuid=${user}`, `--regid=${user}`, "--clear-groups"];
  const child = spawn("setpriv", [...asUser, ...node], { cwd: folder, env: { PATH: process.env["PATH"] } });
  return { child, stdout: once(child.stdout, "data") };
}

const users: { name: string; user: number | undefined }[] = isRoot
  ? [
      { name: "root", user: undefined },
      { name: "a normal user", user: nobody },
    ]
  : [{ name: "a normal user", user: undefined }];

describeWithTools("sandboxes of bubblewrap", ["bubblewrap"], () => {
  describe.each(users)("a sandbox started by $name", ({ user }) => {
    test("keeps out network, files, processes and privileges", async () => {
      const facts = JSON.parse((await run({ script: factsScript() }, user)).stdout) as Facts;
      expect(facts.uid).not.toBe(0);
      expect(facts.capabilities).toBe("0000000000000000");
      expect(facts.neighbour).toBe("ECONNREFUSED");
      expect(facts.metadata).toBe("ENETUNREACH");
      expect(facts.stateFile).toBe("ENOENT");
      expect(facts.processes).toBeLessThanOrEqual(2);
      expect(facts.signal).toBe("ESRCH");
      expect(facts.writes).toEqual(["/tmp/x"]);
      expect([facts.userNamespace, facts.mount]).toEqual(["status 1", "status 1"]);
    });

    test("bounds a fork bomb, and everything it left goes with it", async () => {
      const mark = `${7_000_000 + Math.floor(Math.random() * 1e6)}`;
      const script = `
const { spawn } = require("node:child_process");
let started = 0, refused = 0;
for (let tried = 0; tried < 700; tried += 1) {
  const child = spawn("sleep", ["${mark}"], { detached: true, stdio: "ignore" });
  child.on("error", () => {});
  if (child.pid === undefined) refused += 1; else started += 1;
}
console.log(JSON.stringify({ started, refused }));
process.exit(0);`;
      const { started, refused } = JSON.parse((await run({ script }, user)).stdout) as {
        started: number;
        refused: number;
      };
      expect(started).toBeGreaterThan(100);
      expect(refused).toBeGreaterThan(0);
      expect(findSleepers(mark)).toBe("");
    });

    test("ends with the process that started it, however that ended", async () => {
      const mark = `${8_000_000 + Math.floor(Math.random() * 1e6)}`;
      const script = `
const { spawn } = require("node:child_process");
spawn("sleep", ["${mark}"], { detached: true, stdio: "ignore" }).unref();
console.log("started");
setInterval(() => {}, 1000);`;
      const { child, stdout } = launch({ script }, user);
      await stdout;
      expect(findSleepers(mark)).not.toBe("");
      child.kill("SIGKILL");
      for (let waited = 0; findSleepers(mark) !== "" && waited < 100; waited += 1)
        await new Promise((resolve) => setTimeout(resolve, 20));
      expect(findSleepers(mark)).toBe("");
    });

    test("ends a tree that has more memory than it may, tmpfs and children included", async () => {
      const script = `
const { spawn } = require("node:child_process");
const eat = "const held = []; setInterval(() => held.push(Buffer.alloc(8 << 20, 1)), 2)";
spawn(process.execPath, ["-e", eat], { stdio: "ignore" }).on("exit", () => process.exit(7));`;
      const { stdout } = await run({ script, memoryBytes: 256 * MiB }, user);
      expect(stdout).toBe('{"memoryExceeded":true}');
    });
  });

  test("control: without a sandbox the same attempts succeed", async () => {
    const facts = JSON.parse((await run({ script: factsScript(), sandboxed: false })).stdout) as Facts;
    expect(facts.neighbour).toBe("connected");
    expect(facts.stateFile).toBe("the plane's key");
    expect(facts.signal).toBe("true");
    expect(facts.processes).toBeGreaterThan(2);
    expect(facts.userNamespace).toBe("0");
  });

  test("a limit of processors bounds what a task uses", async (context) => {
    if (!Cgroups.detect().has("cpu"))
      skip(context, "needs a control group for processors that can be written");
    const script = `
const started = process.cpuUsage();
const until = Date.now() + 1500;
while (Date.now() < until);
const { user, system } = process.cpuUsage(started);
console.log(JSON.stringify({ usedMs: (user + system) / 1000 }));`;
    const limited = JSON.parse((await run({ script, cpus: 0.2 })).stdout) as { usedMs: number };
    expect(limited.usedMs).toBeLessThan(600);
  });
});
