/**
 * The home cluster's disk is destroyed: the backup of the root makes the organization again, by the programs that people
 * run, and nothing else does (claim TRUST-1).
 */
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { clusters, flyte, identity } from "@biplane/data-wire";
import { createClientTransport } from "@biplane/kit";
import { eventually } from "@biplane/verify/frame/eventually";
import { createClient, type Transport } from "@connectrpc/connect";
import { afterAll, beforeAll, expect, test } from "vitest";
import { runProgram } from "../support/daemon.ts";
import { type FurtherCluster, startFurtherCluster } from "./further-cluster.ts";
import { type MachineClient, requestToken } from "./sign-in.ts";
import { cluster, domain, org, type Profile, project, type System, startSystem } from "./system.ts";

const reachedMsMax = 60_000;

let system: System;
let paris: FurtherCluster;
let backup: string;
let passphrase: string;
let viewer: MachineClient;

beforeAll(async () => {
  system = await startSystem();
  const keys = createClient(identity.ApiKeyService, system.transport());
  const made = await keys.createApiKey({ name: "viewer", role: "Viewer" });
  viewer = { id: made.key!.id, secret: made.secret };
  backup = join(system.folder, "root.backup");
  passphrase = join(system.folder, "passphrase");
  writeFileSync(passphrase, "six random words, kept elsewhere", { mode: 0o600 });
  await runProgram("data", [
    ...["root", "backup", backup, "--state", state(), "--passphrase-file", passphrase],
  ]);
  // It joins after the backup was made.
  paris = await startFurtherCluster(system, "paris");
  await system.data.kill();
  rmSync(state(), { recursive: true });
});
afterAll(async () => {
  await paris?.close();
  await system?.close();
});

const state = () => join(system.folder, "data");

async function enrollCode(): Promise<string> {
  const names = ["--org", org, "--cluster", cluster, "--edge-address", `localhost:${system.ports.tunnel}`];
  const words = ["enroll-code", "--state", join(system.folder, "control"), ...names];
  return (await runProgram<{ code: string }>("control", words)).code;
}

function transportTo({ router }: Profile, client: MachineClient): Transport {
  return createClientTransport({
    baseUrl: router,
    tls: { authorityPem: system.profile.rootPem },
    interceptors: [
      (next) => async (call) => {
        call.header.set("authorization", `Bearer ${await requestToken(system.profile, client)}`);
        return next(call);
      },
    ],
  });
}

const listRuns = (transport: Transport) =>
  createClient(flyte.workflow.RunService, transport).listRuns({
    request: { limit: 1 },
    scopeBy: { case: "projectId", value: { organization: org, name: project, domain } },
  });

test("a new root is refused at the control plane, whatever its code: no one else becomes the organization", async () => {
  const impostor = join(system.folder, "impostor");
  const init = ["init", "--state", impostor, "--org", org, "--cluster", cluster];
  const refused = runProgram("data", [...init, "--enroll-code", await enrollCode()]);
  await expect(refused).rejects.toThrow("root");
});

test("the backup without its passphrase is worth nothing", async () => {
  const wrong = join(system.folder, "wrong");
  writeFileSync(wrong, "six other words, not these ones", { mode: 0o600 });
  const words = ["root", "restore", backup, "--state", state(), "--passphrase-file", wrong];
  const refused = runProgram("data", [...words, "--enroll-code", await enrollCode()]);
  await expect(refused).rejects.toThrow("passphrase");
});

test("with both, sign-in, policy and clusters work again under the root that clients know", async () => {
  const words = ["root", "restore", backup, "--state", state(), "--passphrase-file", passphrase];
  const restored = await runProgram("data", [...words, "--enroll-code", await enrollCode()]);
  expect(restored).toMatchObject({ restored: true, org, cluster, identity: "restored" });
  await system.data.start();
  const home = transportTo(system.profile, viewer);
  await eventually(
    () => listRuns(home),
    () => true,
    { withinMs: reachedMsMax, what: "Sign-in at home" },
  );
  const users = createClient(identity.UserService, home);
  await expect(users.createUser({ email: "eve@acme.test", name: "Eve" })).rejects.toThrow(
    "permission_denied",
  );
  // Administrators still are, and what they decide from now on counts in the cluster that joined after the backup.
  const made = await createClient(
    identity.ApiKeyService,
    transportTo(system.profile, system.client),
  ).createApiKey({
    ...{ name: "later", role: "Viewer" },
  });
  const later = { id: made.key!.id, secret: made.secret };
  await eventually(
    () => listRuns(transportTo(paris.profile, later)),
    () => true,
    {
      withinMs: reachedMsMax,
      what: "Paris following the restored authority",
    },
  );
});

test("who joined after the backup was made is still a member, and others may join", async () => {
  const membership = createClient(clusters.MembershipService, transportTo(system.profile, system.client));
  const list = await membership.getClusterList({});
  const [, payload = ""] = list.list.split(".");
  const { clusters: listed } = JSON.parse(Buffer.from(payload, "base64url").toString()) as {
    clusters: { name: string }[];
  };
  expect(listed.map(({ name }) => name).sort()).toEqual([cluster, "paris"]);
  const places = { router: "https://rome.acme.test", objects: "https://s3.rome.acme.test" };
  expect((await membership.createJoinCode({ cluster: "rome", ...places })).code).not.toBe("");
});
