/** The data plane's state folder is put back from a backup, as docs/operate/backup.md says, with newer runs lost. */
import { cpSync, readFileSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { audit } from "@biplane/data-wire";
import { eventually } from "@biplane/verify/frame/eventually";
import { createClient } from "@connectrpc/connect";
import { afterAll, beforeAll, expect, test } from "vitest";
import { runProgram } from "../support/daemon.ts";
import { cluster, domain, org, project, type System, startSystem } from "./system.ts";

const workflow = resolve(import.meta.dirname, "workflows/sdk.ts");

let system: System;
let kept: string;
let lost: string;

beforeAll(async () => {
  system = await startSystem();
  kept = await echo("kept");
  const backup = join(system.folder, "backup");
  await system.data.stop();
  cpSync(state(), backup, { recursive: true });
  await system.data.start();
  lost = await echo("lost");
  await system.data.stop();
  rmSync(state(), { recursive: true });
  cpSync(backup, state(), { recursive: true });
});
afterAll(() => system?.close());

const state = () => join(system.folder, "data");

async function echo(text: string): Promise<string> {
  const client = await system.connect();
  const run = await eventually(
    () => client.run({ file: workflow, task: "repeat" }, { text }),
    () => true,
    { withinMs: 60_000, what: "A run being admitted" },
  );
  expect(await run.wait()).toMatchObject({ succeeded: true });
  return run.name;
}

test("control: as it is, the control plane refuses the folder, and says what to do", async () => {
  const ready = await system.data.start<{ linkConnected: boolean }>();
  expect(ready.linkConnected).toBe(false);
  expect(readFileSync(join(system.folder, "data.log"), "utf8")).toContain('"reason":"rolled_back"');
  const errand = runProgram("data", ["restored", "--state", state()]);
  await expect(errand, "while the plane runs").rejects.toThrow("in use");
  await system.data.stop();
});

test("after `biplane data restored` it connects, runs, and has what the backup had; what came later is a name in the index", async () => {
  const done = await runProgram("data", ["restored", "--state", state()]);
  expect(done).toMatchObject({ restored: true, org, cluster });
  await system.data.start();
  await echo("new");
  const client = await system.connect();
  expect(await client.getRun(kept).outputs()).toBe("kept");
  await expect(client.getRun(lost).details()).rejects.toThrow(`There is no run ${lost}`);
  const known = await client.connection.records.listRuns({ project, domain });
  expect(known.runs.map((one) => one.run?.name)).toEqual(expect.arrayContaining([kept, lost]));
});

test("the control plane witnesses the audit log again once its operator accepts the restore", async () => {
  const service = createClient(audit.AuditService, system.transport());
  const alarms = async () => (await service.getLog({ plane: audit.AuditPlane.DATA })).alarms;
  const isRefused = (found: readonly string[]) => found.includes("rolled_back") || found.includes("forked");
  await eventually(alarms, isRefused, { withinMs: 60_000, what: "The control plane refusing to witness" });
  const names = ["--org", org, "--cluster", cluster];
  await runProgram("control", ["accept-restore", "--state", join(system.folder, "control"), ...names]);
  await eventually(alarms, (found) => !isRefused(found), { withinMs: 60_000, what: "A countersignature" });
});
