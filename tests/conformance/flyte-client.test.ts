/** The unmodified `flyte` command line from PyPI, pointed at the router, sees projects, tasks, runs, values and logs. */
import { execFile } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { bundleModule } from "@biplane/sdk/remote/bundle";
import type { RemoteClient, RemoteRun } from "@biplane/sdk/remote/client";
import { placeRun, uploadModule } from "@biplane/sdk/remote/submit";
import { afterAll, beforeAll, expect, test } from "vitest";
import { domain, org, project, type System, startSystem } from "../e2e/system.ts";
import { describeWithTools, flytePath } from "../support/tools.ts";

const workflow = resolve(import.meta.dirname, "../e2e/workflows/numbers.ts");
const width = 5;
const commandMsMax = 60_000;

describeWithTools("the unmodified flyte 2.6.5 command line", ["flyte"], () => {
  let system: System;
  let run: RemoteRun;
  let version: string;

  beforeAll(async () => {
    system = await startSystem();
    writeConfig(system);
    const client = await system.connect();
    version = await deploy(client);
    run = await client.run({ file: workflow, task: "squares" }, { width, pauseMs: 0 });
    expect(await run.wait()).toMatchObject({ succeeded: true });
  });
  afterAll(() => system?.close());

  const flyte = async (...parameters: string[]) => {
    const { stdout } = await promisify(execFile)(flytePath, ["--config", configPath(system), ...parameters], {
      cwd: system.folder,
      timeout: commandMsMax,
      env: environment(system),
    });
    return stdout;
  };

  test("lists projects", async () => {
    expect(await flyte("get", "project")).toContain(project);
  });

  test("lists tasks and shows one version", async () => {
    const listed = await flyte("get", "task");
    for (const name of ["squares", "square", "length"]) expect(listed).toContain(name);
    const shown = await flyte("get", "task", "squares", version);
    expect(shown).toContain("squares");
    expect(shown).toContain(version);
  });

  test("lists runs and shows one", async () => {
    expect(await flyte("get", "run")).toContain(run.name);
    const shown = await flyte("get", "run", run.name);
    expect(shown).toContain(run.name);
    expect(shown).toMatch(/succeeded/i);
  });

  test("filters runs by phase and by task", async () => {
    expect(await flyte("get", "run", "--in-phase", "succeeded", "--task-name", "squares")).toContain(
      run.name,
    );
    expect(await flyte("get", "run", "--in-phase", "failed")).not.toContain(run.name);
  });

  test("lists a run's actions and shows one", async () => {
    const listed = await flyte("get", "action", run.name);
    expect(listed).toContain("a0");
    expect(listed.match(/square\b/g)?.length).toBeGreaterThanOrEqual(width);
    expect(await flyte("get", "action", run.name, "a0")).toMatch(/succeeded/i);
  });

  test("prints inputs and outputs", async () => {
    const printed = await flyte("get", "io", run.name);
    expect(printed).toContain("width");
    expect(printed.replace(/\s+/g, " ")).toMatch(/0,? 1,? 4,? 9,? 16/);
  });

  test("prints logs", async () => {
    const client = await system.connect();
    const { actions } = await client.connection.runs.listActions({ runId: run.id, request: { limit: 100 } });
    const child = actions.find(({ metadata }) => metadata?.parent === "a0")!.id!.name;
    expect(await flyte("get", "logs", run.name, child)).toMatch(/squaring \d/);
  });

  test("control: with a wrong secret it is refused", async () => {
    const refused = promisify(execFile)(flytePath, ["--config", configPath(system), "get", "project"], {
      cwd: system.folder,
      timeout: commandMsMax,
      env: { ...environment(system), BIPLANE_TEST_SECRET: "wrong" },
    });
    await expect(refused).rejects.toThrow();
  });
});

/** Deploys the module's tasks; all have the version of its code. */
async function deploy(client: RemoteClient): Promise<string> {
  const place = await placeRun(client.connection);
  const bundle = await bundleModule(workflow);
  for (const { spec } of await uploadModule(client.connection, place, bundle)) {
    const { org, project, domain, name, version } = spec.taskTemplate!.id!;
    await client.connection.tasks.deployTask({ taskId: { org, project, domain, name, version }, spec });
  }
  return bundle.version;
}

function configPath(system: System): string {
  return join(system.folder, "flyte.yaml");
}

function rootPath(system: System): string {
  return join(system.folder, "root.pem");
}

function writeConfig(system: System): void {
  writeFileSync(rootPath(system), system.profile.rootPem);
  writeFileSync(
    configPath(system),
    [
      "admin:",
      `  endpoint: dns:///${new URL(system.profile.router).host}`,
      "  authType: ClientSecret",
      `  clientId: ${system.client.id}`,
      "  clientSecretEnvVar: BIPLANE_TEST_SECRET",
      `  caCertFilePath: ${rootPath(system)}`,
      "task:",
      `  org: ${org}`,
      `  project: ${project}`,
      `  domain: ${domain}`,
      "",
    ].join("\n"),
  );
  mkdirSync(join(system.folder, "home"), { recursive: true });
}

/** A home of its own, so that neither a person's settings nor a token kept from another test takes part. */
function environment(system: System): Record<string, string> {
  return {
    PATH: process.env["PATH"] ?? "",
    HOME: join(system.folder, "home"),
    PYTHON_KEYRING_BACKEND: "keyring.backends.null.Keyring",
    SSL_CERT_FILE: rootPath(system),
    BIPLANE_TEST_SECRET: system.client.secret,
    COLUMNS: "300",
    NO_COLOR: "1",
  };
}
