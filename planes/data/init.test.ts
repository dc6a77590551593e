import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createLogger } from "@biplane/kit/logging";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startTestControlPlane, type TestControlPlane } from "../../tests/support/control-plane.ts";
import { type InitOptions, type InitResult, initialize, newClaim } from "./init.ts";
import { testCluster, testOrg } from "./plane.testing.ts";
import { statePaths } from "./state.ts";

let folder: string;
let control: TestControlPlane;
let options: InitOptions;
let refusal: unknown;
let result: InitResult;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "biplane-init-"));
  control = await startTestControlPlane({ folder: join(folder, "control") });
  options = {
    state: join(folder, "data"),
    org: testOrg,
    cluster: testCluster,
    enrollCode: await control.code(testOrg, testCluster),
    region: "local",
    addresses: {},
    databaseUrl: undefined,
    log: createLogger({ component: "test", level: "silent" }),
  };
  const plaintext = { ...options, addresses: { router: "http://localhost:1" } };
  refusal = await initialize(plaintext).catch((error: unknown) => error);
  result = await initialize(options);
});
afterAll(async () => {
  await control?.close();
  await rm(folder, { recursive: true, force: true });
});

test("an address that no client could verify is refused before the one-time code is spent", () => {
  expect(refusal).toMatchObject({ code: "invalid_argument" });
  expect(result.config.org).toBe(testOrg);
});

test("makes a profile that pins the root, and a folder that only its owner reads", async () => {
  const text = await readFile(result.profile, "utf8");
  const profile = JSON.parse(text) as Record<string, string>;
  expect(profile).toMatchObject({
    version: 1,
    org: testOrg,
    cluster: testCluster,
    publicClientId: "biplane-cli",
  });
  expect(profile["rootPem"]).toContain("BEGIN CERTIFICATE");
  expect(profile["rootFingerprint"]).toMatch(/^[0-9a-f]{64}$/);
  expect(text).not.toContain(result.claim.reveal());
  expect((await stat(options.state)).mode & 0o077).toBe(0);
});

test("leaves no private key and no claim readable in its folder", async () => {
  const paths = statePaths(options.state);
  for (const entry of await readdir(options.state, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const file = join(entry.parentPath, entry.name);
    const content = await readFile(file, "latin1");
    expect(content, file).not.toContain(result.claim.reveal());
    // The cluster's own certificate for link and tunnel is the one that has to be there, owner-only.
    if (file.startsWith(paths.link)) expect((await stat(file)).mode & 0o077, file).toBe(0);
    else expect(content, file).not.toContain("PRIVATE KEY");
  }
});

test("does not touch a data plane that is there", async () => {
  await expect(initialize(options)).rejects.toMatchObject({ code: "already_exists" });
});

test("a used code starts nothing anywhere else", async () => {
  const elsewhere = { ...options, state: join(folder, "elsewhere") };
  await expect(initialize(elsewhere)).rejects.toMatchObject({ code: "permission_denied" });
  await expect(stat(statePaths(elsewhere.state).config)).rejects.toThrow();
});

test("goes on where it was cut off: keys and enrollment are kept, the code is not needed again", async () => {
  const before = await readFile(result.profile, "utf8");
  // As if it had ended before the last step.
  await rm(statePaths(options.state).config);
  const again = await initialize({ ...options, enrollCode: "used" });
  expect(await readFile(again.profile, "utf8")).toBe(before);
  expect(again.claim.reveal()).not.toBe(result.claim.reveal());
});

test("refuses a key file that others may read", async () => {
  const { systemKey } = statePaths(options.state);
  const key = await readFile(systemKey);
  await rm(systemKey);
  await writeFile(systemKey, key, { mode: 0o644 });
  await expect(newClaim(options.state, testOrg, undefined)).rejects.toThrow("chmod 600");
});
