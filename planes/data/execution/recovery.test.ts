/** What a crash, a full disk or missing content leave behind. */
import { readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { BiplaneError } from "@biplane/base";
import { errorKey, outcomeKey, outputsKey } from "@biplane/layout";
import { afterEach, beforeAll, expect, test } from "vitest";
import { readOutcome, recordOutcome } from "./outcome.ts";
import { processTree } from "./sandbox/process-tree.ts";
import type { Installation } from "./sandbox/types.ts";
import { buildInstallation } from "./testing/installation.ts";
import { MemoryObjects } from "./testing/memory-objects.ts";
import { attemptOf, TestExecutor } from "./testing/test-executor.ts";

const source = `
export async function hello() { return "outputs"; }
export async function waits(start, host) { host.setWaiting(true); console.log("waiting"); await new Promise((resolve) => setTimeout(resolve, 4000)); host.setWaiting(false); }
export async function slow() { console.log("started"); await new Promise((resolve) => setTimeout(resolve, 60_000)); }
`;

let installation: Installation;
let system: TestExecutor | undefined;

beforeAll(async () => {
  installation = await buildInstallation();
});
afterEach(() => system?.close());

test("rule of state 7: of two results the first one counts, and the second one adopts it", async () => {
  const objects = new MemoryObjects();
  const attempt = attemptOf({ action: "a0" });
  const succeeded = { kind: "outputs", outputs: Buffer.from("first") } as const;
  expect(await recordOutcome(objects, attempt, succeeded, true)).toEqual({
    kind: "succeeded",
    hasReport: true,
  });
  const failure = { code: "Late", message: "too late", kind: "user", recoverable: false } as const;
  expect(await recordOutcome(objects, attempt, { kind: "failure", failure, timedOut: false }, false)).toEqual(
    { kind: "succeeded", hasReport: true },
  );
});

test("rule of state 7: a success without its outputs on disk is none, and the attempt is lost", async () => {
  const objects = new MemoryObjects();
  const attempt = attemptOf({ action: "torn" });
  await recordOutcome(objects, attempt, { kind: "outputs", outputs: Buffer.from("whole") }, false);
  expect(await readOutcome(objects, attempt)).toEqual({ kind: "succeeded", hasReport: false });
  objects.contents.delete(outputsKey(attempt));
  expect(await readOutcome(objects, attempt)).toBeUndefined();
  system = await TestExecutor.start({ installation, objects }, source, [attempt]);
  expect(system.queue.outcomes.get("r1/torn/1")).toMatchObject({ failure: { code: "worker_lost" } });
});

test("rule of state 7: after a crash a recorded outcome is adopted, and an unrecorded attempt is lost", async () => {
  const [done, lost] = [attemptOf({ action: "done" }), attemptOf({ action: "lost" })];
  const objects = new MemoryObjects();
  const failure = { code: "Mine", message: "user's text", kind: "user", recoverable: false } as const;
  await recordOutcome(objects, done, { kind: "failure", failure, timedOut: true }, false);
  system = await TestExecutor.start({ installation, objects }, source, [done, lost]);
  expect(system.queue.outcomes.get("r1/done/1")).toEqual({ kind: "timed_out", failure, hasReport: false });
  expect(system.queue.outcomes.get("r1/lost/1")).toMatchObject({
    kind: "failed",
    failure: { code: "worker_lost", kind: "system", recoverable: true },
  });
  expect(await system.text({ action: "lost" })).toContain("restarted");
  expect(objects.contents.has(outcomeKey(lost))).toBe(true);
});

test("rules of state 7 and 8: what a restored queue holds out again does not run where its outcome is recorded", async () => {
  const objects = new MemoryObjects();
  system = await TestExecutor.start({ installation, objects }, source);
  const done = { kind: "outputs", outputs: Buffer.from("of before") } as const;
  await recordOutcome(objects, attemptOf({ action: "done" }), done, false);
  expect(await system.run({ action: "done", task: "hello" })).toEqual({
    kind: "succeeded",
    hasReport: false,
  });
  expect(system.outputs({ action: "done" })).toBe("of before");
  // Control: the same task without one runs.
  await system.run({ action: "new", task: "hello" });
  expect(system.outputs({ action: "new" })).toBe("outputs");
});

test("a full disk delays an outcome and loses none", async () => {
  system = await TestExecutor.start({ installation }, source);
  const running = system;
  running.objects.failure = undefined;
  const outcome = running.run({ action: "full", task: "hello" });
  await Promise.resolve();
  running.objects.failure = new BiplaneError("resource_exhausted", "No space is left.");
  setTimeout(() => {
    running.objects.failure = undefined;
  }, 1_200);
  expect((await outcome).kind).toBe("succeeded");
  expect(running.outputs({ action: "full" })).toBe("outputs");
});

test("a missing and a changed bundle end the attempt for good", async () => {
  system = await TestExecutor.start({ installation }, source);
  const pin = { uri: system.bundleUri, sha256: "0".repeat(64) };
  expect(await system.run({ action: "changed", task: "hello", pins: [pin] })).toMatchObject({
    failure: { code: "bundle_changed", recoverable: false },
  });
  system.objects.contents.clear();
  expect(await system.run({ action: "missing", task: "hello" })).toMatchObject({
    failure: { code: "bundle_missing", recoverable: false },
  });
});

test("a closed executor leaves no process behind, and its attempts are to be tried again", async () => {
  // Of the test before some may still be ending: they are none of this executor's.
  const before = new Set(processTree(process.pid));
  const started = () => processTree(process.pid).filter((pid) => !before.has(pid));
  const own = await TestExecutor.start({ installation }, source);
  const outcome = own.run({ action: "slow", task: "slow" });
  await own.untilPrinted({ action: "slow" }, "started");
  expect(started()).not.toHaveLength(0);
  await own.close();
  expect(started()).toEqual([]);
  expect(await Promise.race([outcome, Promise.resolve("not recorded")])).toBe("not recorded");
});

test("tasks that wait can't take more sandboxes than there may be, and the next one says why", async () => {
  system = await TestExecutor.start({ installation, sandboxesMax: 2 }, source);
  const running = system;
  const waiting = ["w1", "w2"].map((action) => running.run({ action, task: "waits" }));
  for (const action of ["w1", "w2"]) await running.untilPrinted({ action }, "waiting");
  expect(await running.run({ action: "third", task: "hello" })).toMatchObject({
    failure: { code: "sandboxes_exhausted", kind: "system", recoverable: true },
  });
  expect((await Promise.all(waiting)).map(({ kind }) => kind)).toEqual(["succeeded", "succeeded"]);
  expect((await running.run({ action: "fourth", task: "hello" })).kind).toBe("succeeded");
});

test("a program that exits with 0 and writes nothing succeeds only where nothing is expected", async () => {
  system = await TestExecutor.start({ installation }, source);
  expect(await system.run({ action: "nothing", argv: ["true"] })).toEqual({
    kind: "succeeded",
    hasReport: false,
  });
  expect(await system.run({ action: "outputs", argv: ["true"], outputs: ["o0"] })).toMatchObject({
    kind: "failed",
    failure: { code: "outputs_missing" },
  });
});

test("a program gets its arguments, its environment and store credentials, and its exit code counts", async () => {
  system = await TestExecutor.start({ installation }, source);
  const print = 'echo "$0 $SETTING $RUN_NAME $ACTION_NAME $AWS_SESSION_TOKEN"; echo problem >&2; exit 3';
  const task = {
    action: "program",
    argv: ["sh", "-c", print, "{{.outputPrefix}}"],
    environment: { SETTING: "chosen" },
  };
  expect(await system.run(task)).toMatchObject({ failure: { code: "ProcessExited", kind: "user" } });
  const lines = (await system.lines(task)).map((line) => line.message).sort();
  expect(lines).toEqual([
    "problem\n",
    "s3://biplane/acme/flights/development/r1/program/1 chosen r1 program session\n",
  ]);
});

test("a program's environment acts inside its sandbox only, whatever is in it", async () => {
  system = await TestExecutor.start({ installation }, source);
  const traces = join(tmpdir(), `biplane-loader-${process.pid}`);
  const task = {
    action: "loader",
    argv: ["sh", "-c", 'echo "$QUOTED"'],
    environment: { LD_DEBUG: "files", LD_DEBUG_OUTPUT: traces, QUOTED: `it's "$HOME" \n 'x'` },
  };
  expect((await system.run(task)).kind).toBe("succeeded");
  expect(await system.text(task)).toBe(`it's "$HOME" \n 'x'\n`);
  if (system.executor.sandboxKind === "bubblewrap")
    expect(readdirSync(tmpdir()).filter((name) => name.startsWith(basename(traces)))).toEqual([]);
  const unset = { action: "unset", argv: ["true"], environment: { "not a name": "x" } };
  expect(await system.run(unset)).toMatchObject({ failure: { code: "environment_invalid" } });
});

test("LOG-1: everything that a program printed before it ended is there", async () => {
  system = await TestExecutor.start({ installation }, source);
  const task = { action: "prints", argv: ["seq", "1", "200000"] };
  expect((await system.run(task)).kind).toBe("succeeded");
  const expected = Array.from({ length: 200_000 }, (_, index) => `${index + 1}\n`).join("");
  expect((await system.text(task)) === expected).toBe(true);
});

test("an error document decides, whatever the exit code", async () => {
  system = await TestExecutor.start({ installation }, source);
  const attempt = attemptOf({ action: "document" });
  const failure = { code: "NoPlanes", message: "none left", kind: "user", recoverable: false } as const;
  const scratch = new MemoryObjects();
  await recordOutcome(scratch, attempt, { kind: "failure", failure, timedOut: false }, false);
  const document = scratch.contents.get(errorKey(attempt));
  await system.objects.put(errorKey(attempt), document ?? new Uint8Array());
  expect(await system.run({ action: "document", argv: ["true"] })).toEqual({
    kind: "failed",
    failure,
    hasReport: false,
  });
});

test("a program that does not exist fails with its message in the log", async () => {
  system = await TestExecutor.start({ installation }, source);
  const outcome = await system.run({ action: "absent", argv: ["no-such-program"] });
  expect(outcome).toMatchObject({ kind: "failed", failure: { code: "ProcessExited" } });
  expect(await system.text({ action: "absent" })).toContain("no-such-program");
});
