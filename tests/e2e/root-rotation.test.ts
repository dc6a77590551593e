/**
 * The organization's root is replaced while everything runs (claims TRUST-1, TLS-4): two clusters, one control plane,
 * clients with the old profile and with the new one, by the programs that people run.
 */
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { Secret } from "@biplane/base";
import { audit, flyte } from "@biplane/data-wire";
import { fingerprint } from "@biplane/kit/certificates";
import { ConfigStore, parseProfile } from "@biplane/sdk/remote";
import { connect, type RemoteClient } from "@biplane/sdk/remote/client";
import { eventually } from "@biplane/verify/frame/eventually";
import { knock } from "@biplane/verify/wire/knocking";
import { createClient } from "@connectrpc/connect";
import { afterAll, beforeAll, expect, test } from "vitest";
import { runProgram } from "../support/daemon.ts";
import { type FurtherCluster, startFurtherCluster } from "./further-cluster.ts";
import { cluster, domain, org, project, type System, startSystem } from "./system.ts";

const numbers = resolve(import.meta.dirname, "workflows/numbers.ts");
const settledMsMax = 60_000;

interface RootState {
  readonly root: string;
  readonly before: string;
  readonly waitingFor: readonly string[];
  readonly leadsOn: boolean;
}

let system: System;
let paris: FurtherCluster;
let passphrase: string;
/** As people had them before the root was replaced. */
let oldProfile: string;
let oldBackup: string;
let oldRootPem: string;
let newRootPem: string;

beforeAll(async () => {
  system = await startSystem();
  paris = await startFurtherCluster(system, "paris");
  oldRootPem = system.profile.rootPem;
  oldProfile = join(system.folder, "old.json");
  copyFileSync(system.profilePath, oldProfile);
  passphrase = join(system.folder, "passphrase");
  writeFileSync(passphrase, "six random words, kept elsewhere", { mode: 0o600 });
  oldBackup = join(system.folder, "old.backup");
  const written = await backUp(oldBackup);
  expect(written).toMatchObject({ root: fingerprint(oldRootPem), rootVersion: 1 });
  process.env["BIPLANE_CONFIG_DIR"] = join(system.folder, "config");
  const profile = parseProfile(readFileSync(oldProfile, "utf8"), oldProfile);
  await new ConfigStore().update(() => ({ current: "acme", profiles: { acme: { profile } } }));
  // So that its policy has come.
  const there = await clientOf(paris.profilePath);
  await eventually(
    () => there.list(),
    () => true,
    { withinMs: settledMsMax, what: "The second cluster answering" },
  );
});
afterAll(async () => {
  delete process.env["BIPLANE_CONFIG_DIR"];
  await paris?.close();
  await system?.close();
});

const state = () => join(system.folder, "data");
const rotate = (...words: string[]) =>
  runProgram<RootState>("data", ["root", "rotate", "--state", state(), ...words]);
const backUp = (file: string) =>
  runProgram("data", ["root", "backup", file, "--state", state(), "--passphrase-file", passphrase]);

function clientOf(profile: string, name?: string): Promise<RemoteClient> {
  const credentials = { clientId: system.client.id, clientSecret: new Secret(system.client.secret) };
  return connect({
    profile,
    project,
    domain,
    ...credentials,
    ...(name === undefined ? {} : { cluster: name }),
  });
}

async function runOn(client: RemoteClient): Promise<void> {
  const run = await client.run({ file: numbers, task: "add-one" }, { n: 41 });
  expect(await run.wait()).toMatchObject({ succeeded: true });
  expect(await run.outputs()).toBe(42);
}

function rootOf(path: string): string {
  return (JSON.parse(readFileSync(path, "utf8")) as { rootPem: string }).rootPem;
}

async function codesOf(client: RemoteClient, plane: audit.AuditPlane): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for await (const { record } of client.connection.audit.readRecords({ plane })) {
    const { code, requestId } = JSON.parse(Buffer.from(record).toString()) as Record<string, string>;
    found.set(code!, requestId!);
  }
  return found;
}

/** Whoever is in between shows another certificate, so that a session can't go on with the first connection's. */
const services = (rootPem: string, isDone: () => boolean, sessions = {}) => {
  const { router, authority, objects } = system.profile;
  const addresses = { router, authority, objects, paris: paris.profile.router };
  return knock({ services: addresses, rootPem, sessions, isDone });
};

function once(): () => boolean {
  let left = 4;
  return () => left-- <= 0;
}

test("a new root takes the old one's place while requests, sessions and a task go on; none of them fails", async () => {
  const client = await system.connect();
  const run = await client.run({ file: numbers, task: "squares" }, { width: 12, pauseMs: 1_500 });
  const runs = createClient(flyte.workflow.RunService, system.transport());
  const scopeBy = { case: "projectId", value: { organization: org, name: project, domain } } as const;
  const sessions = {
    "a session with the router": () => runs.listRuns({ request: { limit: 1 }, scopeBy }),
    "a question that goes over the link": () => client.connection.records.listClusters({}),
  };
  let isSettled = false;
  const load = services(oldRootPem, () => isSettled, sessions);
  try {
    const first = await rotate();
    expect(first).toMatchObject({ before: fingerprint(oldRootPem), leadsOn: true });
    // Said again it makes no third root: it says how far this one is.
    const settled = await eventually(rotate, ({ waitingFor }) => waitingFor.length === 0, {
      withinMs: settledMsMax,
      what: "The second cluster's certificates under the new root",
    });
    expect(settled).toEqual({ ...first, waitingFor: [] });
    newRootPem = rootOf(system.profilePath);
    expect(fingerprint(newRootPem)).toBe(first.root);
  } finally {
    isSettled = true;
  }
  expect(await run.wait()).toMatchObject({ succeeded: true });
  expect(await run.outputs()).toHaveLength(12);
  const { failures, requests } = await load;
  expect(failures).toEqual([]);
  expect(requests).toBeGreaterThan(100);
});

test("the control plane and the second cluster believe the new root, and both planes' logs say so", async () => {
  const client = await clientOf(system.profilePath);
  const root = fingerprint(newRootPem);
  const pinned = async () =>
    Buffer.from((await client.connection.records.listClusters({})).rootFingerprint).toString("hex");
  await eventually(pinned, (hex) => hex === root, {
    withinMs: settledMsMax,
    what: "The new root being pinned",
  });
  expect((await codesOf(client, audit.AuditPlane.DATA)).get("ROOT_ROTATED")).toBe(root);
  expect((await codesOf(client, audit.AuditPlane.CONTROL)).get("ROOT_FOLLOWED")).toBe(root);
  const there = await clientOf(paris.profilePath);
  expect((await codesOf(there, audit.AuditPlane.DATA)).get("ROOT_FOLLOWED")).toBe(root);
  expect(rootOf(paris.profilePath)).toBe(newRootPem);
});

test("old profiles go on, new ones work, and a stored one learns the new root", async () => {
  for (const profile of [oldProfile, system.profilePath, paris.profilePath]) {
    await runOn(await clientOf(profile));
    await runOn(await clientOf(profile, "paris"));
  }
  const client = await clientOf("acme");
  await runOn(client);
  expect(client.connection.profile.rootPem).toBe(newRootPem);
  const { entry } = await new ConfigStore().entry("acme");
  expect(entry.profile).toMatchObject({ rootPem: newRootPem, rootFingerprint: fingerprint(newRootPem) });
  for (const rootPem of [oldRootPem, newRootPem]) {
    expect((await services(rootPem, once())).failures).toEqual([]);
  }
});

test("the old root is nobody's any more: whoever enrolls under it, from a backup as well, is told so", async () => {
  const elsewhere = join(system.folder, "elsewhere");
  const words = ["root", "restore", oldBackup, "--state", elsewhere, "--passphrase-file", passphrase];
  const refused = runProgram("data", [...words, "--enroll-code", await enrollCode()]);
  await expect(refused).rejects.toThrow(/root that organization acme had before/);
});

test("retired, it leads nobody on: only who has the new root is let in", async () => {
  const retired = await rotate("--retire-old");
  expect(retired).toMatchObject({ root: fingerprint(newRootPem), leadsOn: false });
  const refusedAll = async () => new Set((await services(oldRootPem, once())).failures.map(nameOf));
  const all = new Set(["router", "authority", "objects", "paris"]);
  await eventually(refusedAll, (refused) => refused.size === all.size, {
    withinMs: settledMsMax,
    what: "Each server being refused by who knows the old root alone",
  });
  expect((await services(newRootPem, once())).failures).toEqual([]);
  await expect(clientOf(oldProfile).then((client) => client.list())).rejects.toThrow("does not trust");
  // What was stored before goes on, since it learned the root in time.
  await runOn(await clientOf("acme"));
  await runOn(await clientOf("acme", "paris"));
});

test("a backup that is made after it restores the organization under the new root", async () => {
  const backup = join(system.folder, "new.backup");
  expect(await backUp(backup)).toMatchObject({ root: fingerprint(newRootPem), rootVersion: 2 });
  await system.data.kill();
  rmSync(state(), { recursive: true });
  mkdirSync(state(), { mode: 0o700 });
  const words = ["root", "restore", backup, "--state", state(), "--passphrase-file", passphrase];
  const restored = await runProgram("data", [...words, "--enroll-code", await enrollCode()]);
  expect(restored).toMatchObject({ restored: true, identity: "restored" });
  expect(rootOf(system.profilePath)).toBe(newRootPem);
  await system.data.start();
  await eventually(
    async () => (await clientOf("acme")).list(),
    () => true,
    { withinMs: settledMsMax, what: "Home answering again" },
  );
  await runOn(await clientOf("acme"));
  await runOn(await clientOf("acme", "paris"));
  // A third root, by the second one's word.
  const again = await rotate();
  expect(again.before).toBe(fingerprint(newRootPem));
  expect(again.root).not.toBe(again.before);
});

function nameOf(failure: string): string {
  return failure.slice(0, failure.indexOf(":"));
}

async function enrollCode(): Promise<string> {
  const names = ["--org", org, "--cluster", cluster, "--edge-address", `localhost:${system.ports.tunnel}`];
  const words = ["enroll-code", "--state", join(system.folder, "control"), ...names];
  return (await runProgram<{ code: string }>("control", words)).code;
}
