/** The control plane as its operators meet it: a process with a state folder, errands beside it, and sudden ends. */
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { IndexService } from "@biplane/control-wire";
import { createAuthority, policyFor } from "@biplane/verify/hostile-control-plane/authority";
import { createClient } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  createOrganization,
  enrollCluster,
  removeClusterFolders,
  type TestCluster,
} from "../support/control-plane.ts";
import { Daemon, programPath, runProgram } from "../support/daemon.ts";
import { actionUpdated, domain, LinkPeer, project, runCreated } from "../support/link-peer.ts";
import { type PostgresServer, startPostgres } from "../support/postgres.ts";

const folders: string[] = [];
afterAll(async () => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
  await removeClusterFolders();
});

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "biplane-control-"));
  folders.push(folder);
  return folder;
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function fails(parameters: readonly string[]): Promise<{ code: number; stderr: string }> {
  try {
    await promisify(execFile)(process.execPath, [programPath("control"), ...parameters]);
    throw new Error("It should have failed.");
  } catch (error) {
    return error as { code: number; stderr: string };
  }
}

describe.each(["PGlite", "PostgreSQL"])("a control plane process on %s", (kind) => {
  let postgres: PostgresServer | undefined;
  let databaseUrl: string | undefined;
  let state: string;
  let port: number;
  let daemon: Daemon;
  let home: TestCluster;

  beforeAll(async () => {
    postgres = kind === "PostgreSQL" ? await startPostgres() : undefined;
    databaseUrl = await postgres?.createDatabase();
    state = newFolder();
    port = await freePort();
    daemon = new Daemon({
      program: "control",
      parameters: () => ["start", "--state", state, "--listen", `127.0.0.1:${port}`],
      environment: environment(),
      logPath: join(newFolder(), "control.log"),
    });
    await daemon.start();
    home = await enroll("home");
  });
  afterAll(async () => {
    await daemon.stop();
    await postgres?.stop();
  });

  const environment = (): Record<string, string> =>
    databaseUrl === undefined ? {} : { BIPLANE_DATABASE_URL: databaseUrl };
  const index = () => createClient(IndexService, home.transportAs("ada"));

  const askCode = async (cluster: string) => {
    const parameters = ["enroll-code", "--state", state, "--org", "acme", "--cluster", cluster];
    const listen = ["--listen", `127.0.0.1:${port}`];
    return (await runProgram<{ code: string }>("control", [...parameters, ...listen], environment())).code;
  };

  async function enroll(cluster: string, code?: string): Promise<TestCluster> {
    const organization = home?.organization ?? (await createOrganization("acme"));
    return enrollCluster({ code: async () => code ?? (await askCode(cluster)) }, organization, cluster);
  }

  test("its state belongs to its owner alone", () => {
    for (const name of ["state.key", "provider-root.key", "admin.sock"]) {
      expect([name, statSync(join(state, name)).mode & 0o077]).toEqual([name, 0]);
    }
  });

  test("what it acknowledged is there after a sudden end, and the link goes on (rule of state 8)", async () => {
    const before = new LinkPeer(home);
    await before.open();
    const authority = await createAuthority(home.organization.name, home.organization.root);
    await before.publishPolicy(await authority.sign("policy", 1, policyFor({ ada: "Admin" })));
    await index().createProject({ id: project });
    before.events([runCreated(3, "r-kill"), actionUpdated(4, "r-kill", "a0")]);
    await before.next("ack");
    await daemon.kill();
    before.close();
    await daemon.start();
    const after = new LinkPeer(home);
    expect(await after.open({ acknowledgedSequence: 4n })).toBe(4);
    expect((await after.next("intent")).run?.name).toBe("r-kill");
    after.close();
    const { actions } = await index().listActions({ run: { project, domain, name: "r-kill" } });
    expect(actions.map((action) => action.name)).toEqual(["a0"]);
  });

  test("a code can be made while it is stopped, and works once it runs", async () => {
    await daemon.stop();
    const code = await askCode("second");
    await daemon.start();
    expect((await enroll("second", code)).enrollment.cluster).toBe("second");
    await expect(enroll("second", code)).rejects.toThrow(/code does not work/);
  });

  test("a second process on the same state is refused with what to do", async () => {
    const { code, stderr } = await fails(["start", "--state", state, "--listen", "127.0.0.1:0"]);
    expect(code).toBe(1);
    expect(stderr).toContain("is running on");
    expect(stderr).toContain("--state");
  });
});

test.each([
  [["fly"], "There is no command"],
  [["start", "--listen", "nowhere"], "--listen"],
  [["enroll-code", "--org", "Not A Label", "--cluster", "home"], "not a valid organization"],
  [["enroll-code", "--org", "acme", "--cluster", "home", "--public-address", "mail=x:1"], "--public-address"],
  [["edge-identity"], "--out"],
  [["start", "--unknown"], "--unknown"],
])("%j says what is wrong and ends with 2", async (parameters, text) => {
  const { code, stderr } = await fails([...parameters, "--state", newFolder()]);
  expect(stderr).toContain(text);
  expect(code).toBe(2);
});
