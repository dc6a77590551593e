/** Planes that `biplane dev` started leave nothing behind: not when it is killed, not when their state is deleted. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { afterEach, beforeEach, expect, test } from "vitest";

const cli = resolve(import.meta.dirname, "../../dist/cli.mjs");
let folder = "";

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "biplane-planes-end-"));
});
/** Of planes that run: what they write in the middle of it would make it fail. */
const removal = { recursive: true, force: true, maxRetries: 20 };
afterEach(() => rm(folder, removal));

test("planes end with the process that started them, however it ends", async () => {
  const { child, planes, ended } = await startDev();
  child.kill("SIGKILL");
  await ended;
  await untilGone(planes);
});

test("planes end when their state is deleted, and it is said why", async () => {
  const { planes, ended } = await startDev();
  await rm(join(folder, "state", "data"), removal);
  const { code, errors } = await ended;
  expect(code).not.toBe(0);
  expect(errors).toContain("ended by itself");
  await untilGone(planes);
  const log = readFileSync(join(folder, "state/logs/data.log"), "utf8");
  expect(log).toContain("is gone, or another stands in its place");
  expect(log).not.toContain("Unsupported runtime");
});

test("Ctrl-C ends every plane in order, and none has to be killed", async () => {
  const { child, planes, ended } = await startDev();
  child.kill("SIGINT");
  const { code, errors } = await ended;
  expect(code).toBe(0);
  expect(errors).not.toContain("was killed");
  await untilGone(planes);
  for (const plane of ["edge", "data", "control"])
    expect(readFileSync(join(folder, `state/logs/${plane}.log`), "utf8")).toContain('"event":"closing"');
});

test("a start that was cut off before its credentials were kept is made good by the next one", async () => {
  const first = await startDev();
  const administrator = await whoami();
  await rm(join(folder, "config/credentials.json"));
  await expect(whoami(), "control").rejects.toThrow("biplane login");
  first.child.kill("SIGINT");
  await first.ended;
  const second = await startDev();
  const { name, org } = administrator;
  expect(await whoami()).toMatchObject({ name, org });
  second.child.kill("SIGINT");
  expect((await second.ended).errors).toContain("stopping…");
});

async function whoami(): Promise<Record<string, unknown>> {
  const words = [cli, "whoami", "-o", "json"];
  const { stdout } = await promisify(execFile)(process.execPath, words, { env: environment() });
  return JSON.parse(stdout) as Record<string, unknown>;
}

const environment = () => ({ ...process.env, BIPLANE_CONFIG_DIR: join(folder, "config") });

interface Ended {
  readonly code: number | null;
  readonly errors: string;
}

async function startDev(): Promise<{ child: ChildProcess; planes: number[]; ended: Promise<Ended> }> {
  const child = spawn(
    process.execPath,
    [cli, "dev", "--state", join(folder, "state"), "--allow-unsandboxed"],
    {
      stdio: ["ignore", "ignore", "pipe"],
      env: environment(),
    },
  );
  let errors = "";
  child.stderr.on("data", (chunk: Buffer) => {
    errors += chunk;
  });
  const ended = new Promise<Ended>((done) => child.once("exit", (code) => done({ code, errors })));
  const dead = ended.then(() => Promise.reject(new Error(`biplane dev ended: ${errors}`)));
  dead.catch(() => undefined);
  while (!errors.includes("Ready.")) await Promise.race([sleep(50), dead]);
  const planes = childrenOf(child.pid ?? 0);
  expect(planes).toHaveLength(3);
  return { child, planes, ended: ended.then((end) => ({ ...end, errors })) };
}

function childrenOf(parent: number): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && parentOf(name) === parent)
    .map(Number);
}

function parentOf(pid: string): number {
  try {
    return Number(/\) \S (\d+)/.exec(readFileSync(`/proc/${pid}/stat`, "utf8"))?.[1]);
  } catch {
    return 0;
  }
}

/** The test's own time limit is the bound. */
async function untilGone(pids: readonly number[]): Promise<void> {
  while (pids.some((pid) => existsSync(`/proc/${pid}`))) await sleep(50);
}
