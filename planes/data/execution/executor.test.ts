import { afterAll, beforeAll, expect, test } from "vitest";
import { buildInstallation } from "./testing/installation.ts";
import { TestExecutor } from "./testing/test-executor.ts";

const source = `
import { connect } from "node:net";
import { spawn } from "node:child_process";
import { writeSync } from "node:fs";
export async function hello(start, host) { console.log("hello from", process.env.ACTION_NAME); return "outputs of " + start.action; }
export async function pid() { return String(globalThis.count = (globalThis.count ?? 0) + 1); }
export async function whoami() {
  const socket = connect(process.env.BIPLANE_SOCKETS + "/router.sock");
  return new Promise((resolve, reject) => { socket.on("data", (data) => resolve(data.toString())); socket.on("error", reject); });
}
export async function checkpoints(start) { return [start.attempt, process.env.FLYTE_ATTEMPT_NUMBER, start.previousCheckpoint].join(" "); }
export async function boom() { throw new Error("it broke"); }
export async function exits() { process.exit(3); }
export async function uncaught() { setTimeout(() => { throw new Error("from a timer"); }, 5); await new Promise(() => {}); }
export async function rejected() { Promise.reject(new Error("nobody waits")); await new Promise(() => setInterval(() => {}, 1000)); }
export async function crashes() { process.abort(); }
export async function endless() { setInterval(() => {}, 1000); await new Promise(() => {}); }
export async function spins() { for (;;); }
export async function eats() { const held = []; for (;;) { held.push(Buffer.alloc(8 << 20, 1)); await new Promise((resolve) => setTimeout(resolve, 1)); } }
export async function daemon() { spawn("sleep", ["1000"], { detached: true, stdio: "ignore" }).unref(); globalThis.daemons = (globalThis.daemons ?? 0) + 1; return "left one, " + globalThis.daemons; }
export async function large() { return "x".repeat(21 << 20); }
export async function largeReport(start, host) { host.sendReport(new Uint8Array(65 << 20)); }
export async function nonsense() { writeSync(3, Buffer.alloc(64, 0xff)); await new Promise(() => setInterval(() => {}, 1000)); }
export async function junk() { process.stdout.write(Buffer.from([0xff, 0x00, 0xfe, 0x0a])); process.stdout.write("x".repeat(1048576 + 10) + "\\n"); process.stderr.write("no newline at the end"); }
export async function many() { for (let i = 0; i < 20000; i += 1) console.log("line " + i); }
export async function reports(start, host) { host.sendReport(Buffer.from("<p>1</p>")); host.sendReport(Buffer.from("<p>2</p>")); }
export async function waits(start, host) { host.setWaiting(true); await new Promise((resolve) => setTimeout(resolve, 5000)); host.setWaiting(false); }
export async function cancelled(start, host) { console.log("started"); await new Promise((resolve) => host.cancelled.addEventListener("abort", resolve)); console.log("asked to end"); }
export async function killed() { process.kill(process.pid, "SIGKILL"); await new Promise(() => {}); }
`;

let system: TestExecutor;

beforeAll(async () => {
  system = await TestExecutor.start({ installation: await buildInstallation() }, source);
});
afterAll(() => system.close());

test("a task's outputs, log and outcome are recorded", async () => {
  const task = { action: "hello", task: "hello" };
  expect(await system.run(task)).toEqual({ kind: "succeeded", hasReport: false });
  expect(system.outputs(task)).toBe("outputs of hello");
  expect(await system.text(task)).toBe("hello from hello\n");
  expect(system.revoked.map((id) => id.action)).toContain("hello");
});

test("a worker is used again for the same run and task, and for nothing else", async () => {
  const counts: string[] = [];
  for (const action of ["count1", "count2", "count3"]) {
    await system.run({ action, task: "pid" });
    counts.push(system.outputs({ action }));
  }
  expect(counts).toEqual(["1", "2", "3"]);
  await system.run({ action: "other", task: "pid", environment: { SETTING: "other" } });
  expect(system.outputs({ action: "other" })).toBe("1");
});

test("the router is told which attempt is inside the sandbox that calls", async () => {
  await system.run({ action: "who", task: "whoami" });
  expect(system.outputs({ action: "who" })).toBe("who");
});

test("what a task throws is its failure", async () => {
  const failure = { code: "TaskError", message: "it broke", kind: "user", recoverable: true };
  expect(await system.run({ action: "boom", task: "boom" })).toEqual({
    kind: "failed",
    failure,
    hasReport: false,
  });
});

test.each([
  ["exits", "ProcessExited", "user"],
  ["uncaught", "UncaughtException", "user"],
  ["rejected", "UnhandledRejection", "user"],
  ["crashes", "ProcessCrashed", "user"],
  ["killed", "worker_lost", "system"],
])("a process that ends by itself has a clear failure: %s", async (name, code, kind) => {
  expect(await system.run({ action: name, task: name })).toMatchObject({
    kind: "failed",
    failure: { code, kind },
  });
});

test.each(["endless", "spins"])("a task that never ends is ended at its time-out: %s", async (name) => {
  const outcome = await system.run({ action: name, task: name, timeoutMs: 500 });
  expect(outcome).toMatchObject({ kind: "timed_out", failure: { code: "TimedOut" } });
});

test("a task that eats memory is killed, and only it", async () => {
  const outcome = system.run({ action: "eats", task: "eats", memory: "256Mi" });
  const other = await system.run({ action: "beside", task: "hello" });
  expect(other.kind).toBe("succeeded");
  expect(await outcome).toMatchObject({ kind: "failed", failure: { code: "OOMKilled", kind: "user" } });
});

test("LOG-1: output that is binary, too long or without a newline is kept line by line", async () => {
  expect((await system.run({ action: "junk", task: "junk" })).kind).toBe("succeeded");
  const lines = await system.lines({ action: "junk" });
  const user = lines.filter((line) => line.originator === "user").map((line) => line.message);
  expect(user).toContain("\ufffd\u0000\ufffd\n");
  expect(user).toContain("no newline at the end");
  expect(user).toContain(`${"x".repeat(1_048_576)}\n`);
  const notes = lines.filter((line) => line.originator === "system").map((line) => line.message);
  expect(notes).toEqual(["The line above was cut: 11 more bytes are not kept.\n"]);
});

test("LOG-1: every line of a task that prints fast is there, in order", async () => {
  expect((await system.run({ action: "many", task: "many" })).kind).toBe("succeeded");
  const expected = Array.from({ length: 20_000 }, (_, number) => `line ${number}\n`).join("");
  expect((await system.text({ action: "many" })) === expected).toBe(true);
});

test("the last report counts", async () => {
  const outcome = await system.run({ action: "reports", task: "reports" });
  expect(outcome).toEqual({ kind: "succeeded", hasReport: true });
  const report = system.objects.contents.get("acme/flights/development/r1/reports/1/report.html");
  expect(Buffer.from(report ?? []).toString()).toBe("<p>2</p>");
});

test("tasks that wait for sub-actions hold no slot", async () => {
  let ended = 0;
  const waiting = ["w1", "w2", "w3"].map(async (action) => {
    const outcome = await system.run({ action, task: "waits" });
    ended += 1;
    return outcome.kind;
  });
  expect((await system.run({ action: "meanwhile", task: "hello" })).kind).toBe("succeeded");
  expect(ended).toBe(0);
  expect(await Promise.all(waiting)).toEqual(["succeeded", "succeeded", "succeeded"]);
});

test("rule of state 6: an aborted task is asked to end and records no outcome", async () => {
  const ended = new AbortController();
  const running = system.run({ action: "aborted", task: "cancelled", ended: ended.signal });
  await system.untilPrinted({ action: "aborted" }, "started");
  ended.abort();
  await running;
  expect(await system.text({ action: "aborted" })).toBe("started\nasked to end\n");
  expect(system.objects.contents.has("acme/flights/development/r1/aborted/1/outcome.pb")).toBe(false);
});

test("outputs and reports that are too large fail the task with what to do instead", async () => {
  const outputs = await system.run({ action: "large", task: "large" });
  expect(outputs).toMatchObject({ failure: { code: "OutputsTooLarge", recoverable: false } });
  const report = await system.run({ action: "largeReport", task: "largeReport" });
  expect(report).toMatchObject({
    failure: { code: "TaskError", message: expect.stringContaining("report") },
  });
});

test("a task that writes to its control socket is ended, and nothing else", async () => {
  const outcome = await system.run({ action: "nonsense", task: "nonsense" });
  expect(outcome).toMatchObject({ kind: "failed", failure: { code: "ProtocolViolation" } });
  expect((await system.run({ action: "after", task: "hello" })).kind).toBe("succeeded");
});

test("a worker that left processes behind is not used again", async () => {
  const runs = ["d1", "d2"].map((action) => ({ action, task: "daemon" }));
  for (const run of runs) expect((await system.run(run)).kind).toBe("succeeded");
  expect(runs.map((run) => system.outputs(run))).toEqual(["left one, 1", "left one, 1"]);
});

test.each([
  ["empty", { argv: [] }, "spec_invalid"],
  ["amount", { task: "hello", memory: "much" }, "resources_invalid"],
])("a specification that can't be run ends the attempt for good: %s", async (action, task, code) => {
  expect(await system.run({ action, ...task })).toMatchObject({
    kind: "failed",
    failure: { code, kind: "user", recoverable: false },
  });
});

test("a retry is told which attempt it is and where the one before left its checkpoint", async () => {
  await system.run({ action: "again", task: "checkpoints", attempt: 2 });
  expect(system.outputs({ action: "again", attempt: 2 })).toBe(
    "2 1 s3://biplane/acme/flights/development/r1/again/1/_flytecheckpoints",
  );
});
