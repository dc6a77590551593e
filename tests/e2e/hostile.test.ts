/** A task that tries to get out of its sandbox on a live system: every attempt is refused, and reported (TASK rights, TRUST-2). */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { connect } from "node:net";
import { join, resolve } from "node:path";
import { type AuditRecord, decodeAuditRecord } from "@biplane/audit";
import { audit } from "@biplane/data-wire";
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
let hostileRun: string;

/** What no task may do: other projects, another run's sub-actions, secrets, keys, people, policy, clusters, audit. */
function forbiddenCalls(): { method: string; body: string }[] {
  const vault = { org, project: "vault", domain, name: "theirs" };
  const action = { run: vault, name: "a0" };
  const own = { org, project, domain, name: otherRun };
  const run = "flyteidl2.workflow.RunService";
  const calls: Record<string, object> = {
    [`${run}/GetRunDetails`]: { runId: vault },
    [`${run}/AbortRun`]: { runId: vault },
    [`${run}/CreateRun`]: { projectId: { organization: org, name: "vault", domain } },
    "flyteidl2.dataproxy.DataProxyService/GetActionData": { actionId: action },
    "flyteidl2.dataproxy.DataProxyService/CreateUploadLocation": {
      org,
      project: "vault",
      domain,
      filename: "x",
    },
    "flyteidl2.project.ProjectService/CreateProject": { project: { id: "mine", org } },
    "biplane.data.v1.ChildrenService/Enqueue": { run: own, parent: "a0" },
    "biplane.data.v1.ChildrenService/RecordTraces": { run: own, parent: "a0" },
    "biplane.data.v1.SecretService/GetSecret": { name: "password" },
    "biplane.data.v1.ResidencyService/ChangeProjectHosts": { project, allow: ["evil.example"] },
    "biplane.data.v1.KeysService/ListKeys": {},
    "biplane.data.v1.KeysService/DisableKey": { version: { key: "default", version: "1" } },
    "biplane.data.v1.UserService/CreateUser": { email: "mallory@acme.test", role: "Admin" },
    "biplane.data.v1.ApiKeyService/CreateApiKey": { name: "mine", role: "Admin" },
    "biplane.data.v1.AuthorityService/RotateSigningKeys": {},
    "biplane.data.v1.MembershipService/CreateJoinCode": { cluster: "mine" },
    "biplane.data.v1.AuditService/GetLog": { plane: "AUDIT_PLANE_DATA" },
  };
  return Object.entries(calls).map(([method, body]) => ({ method, body: JSON.stringify(body) }));
}

async function refusals(): Promise<AuditRecord[]> {
  const found: AuditRecord[] = [];
  const request = {
    plane: audit.AuditPlane.DATA,
    decisions: ["denied", "hidden", "refused", "unauthenticated"],
  };
  for await (const { record } of client.connection.audit.readRecords(request)) {
    found.push(decodeAuditRecord(record));
  }
  return found;
}

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
      calls: forbiddenCalls(),
    };
    const run = await client.run({ file: workflow, task: "hostile" }, targets);
    expect(await run.wait(AbortSignal.timeout(120_000))).toMatchObject({ succeeded: true });
    const attempts = (await run.outputs()) as Attempt[];
    expect(attempts.filter(({ refused }) => !refused)).toEqual([]);
    const kinds = [
      "network",
      "network by proxy",
      "read file",
      "write file",
      "process memory",
      "read object",
      "list objects",
      "router call",
      "mount",
    ];
    for (const kind of kinds) expect(attempts.map((one) => one.kind)).toContain(kind);
    expect(attempts.length).toBeGreaterThanOrEqual(stateFiles.length + 25);
    expect(JSON.stringify(attempts)).not.toContain(secretText);

    const lines: string[] = [];
    for await (const { text } of run.logs()) lines.push(text);
    expect(lines.filter((line) => line.startsWith("refused"))).toHaveLength(attempts.length);
    hostileRun = run.name;
  });

  test("what it tried at router and object store is on record as its run's (claims IAM-4, AUD-1)", async () => {
    const records = await refusals();
    for (const { method } of forbiddenCalls()) {
      const found = records.find((record) => record.method === method);
      // What no router has is refused before anybody is asked who they are.
      const subject = method.includes("SecretService") ? "" : `task:${project}/${domain}/${hostileRun}/`;
      expect([method, found?.subject.startsWith(subject)]).toEqual([method, true]);
      expect(["denied", "hidden", "refused"]).toContain(found?.decision);
    }
    const objects = records.filter(({ code, run }) => code === "OBJECT_REFUSED" && run === hostileRun);
    expect(objects.length).toBeGreaterThanOrEqual(3);
    for (const record of objects) {
      expect(record).toMatchObject({ decision: "denied", addressFrom: "sandbox", reason: "AccessDenied" });
    }
    expect(JSON.stringify(objects)).not.toContain(otherRun);
  });

  test("control: the same token is good for what the task may do", async () => {
    const scopeBy = { projectId: { organization: org, name: project, domain } };
    const calls = [{ method: "flyteidl2.workflow.RunService/ListRuns", body: JSON.stringify(scopeBy) }];
    const run = await client.run({ file: workflow, task: "hostile" }, { calls });
    expect(await run.wait(AbortSignal.timeout(120_000))).toMatchObject({ succeeded: true });
    const attempts = (await run.outputs()) as Attempt[];
    const call = attempts.find(({ kind }) => kind === "router call");
    expect(call).toMatchObject({ refused: false, detail: expect.stringContaining("runs") });
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
