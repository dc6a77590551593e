/** Everything of a data plane is where its operator declared it to be, and metadata where the customer lets it be. */
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { type ProviderPlace, providerKinds } from "@biplane/verify/keys/providers";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Daemon, programPath, runProgram } from "../support/daemon.ts";
import { startPostgres } from "../support/postgres.ts";
import { describeWithTools } from "../support/tools.ts";
import { project, type System, startSystem } from "./system.ts";

const reports = resolve(import.meta.dirname, "../../verify/workflows/reports.ts");
const kms = providerKinds.find(({ tools }) => tools.includes("moto"))!;

/** What a program says as it fails. */
async function failureOf(program: Promise<unknown>): Promise<string> {
  const error = await program.then(
    () => {
      throw new Error("It did not fail.");
    },
    (failed: { stderr?: string; message: string }) => failed,
  );
  return error.stderr ?? error.message;
}

async function biplane(system: System, words: readonly string[]): Promise<string> {
  const env = { ...process.env, ...system.environment() };
  const { stdout } = await promisify(execFile)(process.execPath, [programPath("cli"), ...words], { env });
  return stdout;
}

describeWithTools("a data plane in eu-central-1", kms.tools, () => {
  let place: ProviderPlace;
  let system: System;

  beforeAll(async () => {
    // Its keys are in eu-central-1 too.
    place = await kms.start();
    system = await startSystem({
      keys: place.config,
      environment: { ...place.environment },
      regions: { control: "eu-west-3", data: "eu-central-1", metadata: "eu-*" },
    });
  });
  afterAll(async () => {
    await system?.close();
    await place?.close();
  });

  test("shows the region of each backend and of the control plane (claims RES-1, RES-3)", async () => {
    const [own] = JSON.parse(await biplane(system, ["get", "cluster", "-o", "json"])) as [
      { backends: { backend: string }[] },
    ];
    expect(own).toMatchObject({
      region: "eu-central-1",
      controlPlaneRegion: "eu-west-3",
      metadataRegions: ["eu-*"],
    });
    expect(own.backends.map(({ backend }) => backend)).toEqual([
      ...["objects", "database", "keys", "logs", "audit"],
    ]);
    for (const backend of own.backends)
      expect(backend).toMatchObject({ region: "eu-central-1", agrees: true });
    const table = await biplane(system, ["get", "cluster"]);
    expect(table).toContain("Control plane: eu-west-3 (metadata may be in eu-* only)");
    expect(table).toMatch(/keys +aws-kms +eu-central-1/);
  });

  test("a project restricted to other regions gets no run here, and says why; lifted, it does (claim RES-2)", async () => {
    const client = await system.connect();
    const start = () => client.run({ file: reports, task: "large-report" }, { mebibytes: 1 });
    await biplane(system, ["update", "project", project, "--region", "us-*", "us-gov-*"]);
    await expect(start()).rejects.toThrow(/restricted to .*us-\*|may not be in this cluster's region/);
    expect(await client.list()).toEqual([]);
    await biplane(system, ["update", "project", project, "--region", "eu-*"]);
    expect(await (await start()).wait()).toMatchObject({ succeeded: true });
    await biplane(system, ["update", "project", project, "--region", "us-*"]);
    await expect(start()).rejects.toThrow();
    await biplane(system, ["update", "project", project, "--any-region"]);
    expect(await (await start()).wait()).toMatchObject({ succeeded: true });
  });

  test("so does every project of an organization that is restricted (claim RES-2)", async () => {
    const client = await system.connect();
    const start = () => client.run({ file: reports, task: "large-report" }, { mebibytes: 1 });
    const before = (await client.list()).length;
    await biplane(system, ["update", "organization", "--region", "us-*"]);
    await expect(start()).rejects.toThrow(/restricted to us-\*|may not be in this cluster's region/);
    await biplane(system, ["update", "project", project, "--region", "eu-*"]);
    await expect(start()).rejects.toThrow(/restricted|may not be/);
    const shown = await biplane(system, ["get", "cluster"]);
    expect(shown).toMatch(/Runs may be in us-\* only\nRuns of flights may be in eu-\* only/);
    expect(await client.list()).toHaveLength(before);
    await biplane(system, ["update", "organization", "--any-region"]);
    expect(await (await start()).wait()).toMatchObject({ succeeded: true });
    await biplane(system, ["update", "project", project, "--any-region"]);
  });

  test("control: with its keys elsewhere it does not start, and says which store is where (claim RES-1)", async () => {
    await system.data.stop();
    const configPath = join(system.folder, "data", "config.json");
    const { default: config } = (await import(configPath, { with: { type: "json" } })) as {
      default: { keys: object };
    };
    writeFileSync(configPath, JSON.stringify({ ...config, keys: { ...config.keys, region: "us-east-1" } }));
    const said = await failureOf(system.data.start());
    expect(said).toContain("customer's keys (aws-kms) is not in eu-central-1");
    expect(said).toContain("It is in us-east-1.");
    writeFileSync(configPath, JSON.stringify(config));
    await system.data.start();
  });

  test("control: with its database elsewhere, or nowhere known, it does not start; declared, it does (claim RES-1)", async () => {
    const server = await startPostgres();
    const folder = mkdtempSync(join(tmpdir(), "biplane-residency-"));
    try {
      const url = await server.createDatabase();
      const state = join(folder, "data");
      const { code } = await enrollCode(system, "second-org");
      const daemon = (...more: string[]) =>
        new Daemon({
          program: "data",
          parameters: () => [
            ...["start", "--state", state, "--database-url", url, "--allow-unsandboxed", ...more],
          ],
          logPath: join(folder, "data.log"),
        });
      await runProgram("data", [
        ...["init", "--state", state, "--org", "second-org", "--cluster", "home", "--enroll-code", code],
        ...["--region", "eu-central-1", "--database-url", url],
      ]);
      expect(await failureOf(daemon().start())).toContain("It does not say in which region it is.");
      const elsewhere = daemon("--database-region", "us-east-1");
      expect(await failureOf(elsewhere.start())).toContain("It is in us-east-1.");
      const declared = daemon("--database-region", "eu-central-1");
      await declared.start();
      await declared.stop();
    } finally {
      await server.stop();
      rmSync(folder, { recursive: true, force: true });
    }
  }, 120_000);

  test("an organization that is pinned elsewhere can't be created here, by either side (claim RES-3)", async () => {
    const create = (region: string) =>
      runProgram("control", [
        ...["create-org", "--state", join(system.folder, "control"), "--org", "transatlantic"],
        ...["--metadata-region", region],
      ]);
    expect(await failureOf(create("us-*"))).toContain("This control plane is in eu-west-3");
    // Control: where the regions match, it is created.
    await expect(create("eu-*")).resolves.toMatchObject({ org: "transatlantic" });

    const folder = mkdtempSync(join(tmpdir(), "biplane-residency-"));
    try {
      const { code } = await enrollCode(system, "third-org");
      const init = (region: string) =>
        runProgram("data", [
          ...["init", "--state", join(folder, "data"), "--org", "third-org", "--cluster", "home"],
          ...["--enroll-code", code, "--metadata-region", region],
        ]);
      expect(await failureOf(init("us-*"))).toContain("The control plane is in eu-west-3");
      // Control: the code was not used up, and works where the pin agrees.
      await expect(init("eu-west-3")).resolves.toMatchObject({ initialized: true });
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }, 120_000);

  test("a control plane's region stays what it was declared to be", async () => {
    await system.control.stop();
    const state = join(system.folder, "control");
    const moved = runProgram("control", ["init", "--state", state, "--region", "us-east-1"]);
    expect(await failureOf(moved)).toContain("was declared to be in eu-west-3");
    await system.control.start();
  });
});

function enrollCode(system: System, org: string): Promise<{ code: string }> {
  return runProgram("control", [
    ...["enroll-code", "--state", join(system.folder, "control"), "--org", org, "--cluster", "home"],
    ...["--edge-address", `localhost:${system.ports.tunnel}`],
  ]);
}
