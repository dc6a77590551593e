/** Who may do what, as people meet it by the command line, in two clusters (claim IAM-2); IAM-3 is verify's. */
import { execFile } from "node:child_process";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { identity } from "@biplane/data-wire";
import { eventually } from "@biplane/verify/frame/eventually";
import { answersOf, type Told, unfit, whileInDate } from "@biplane/verify/policy/answers";
import { createClient } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type FurtherCluster, startFurtherCluster } from "./further-cluster.ts";
import { requestToken } from "./sign-in.ts";
import { domain, project, type System, startSystem } from "./system.ts";

const launcher = resolve(import.meta.dirname, "../../clients/cli/bin/biplane.mjs");
let system: System;
let paris: FurtherCluster;
let viewer: { readonly id: string; readonly token: string };

beforeAll(async () => {
  system = await startSystem();
  paris = await startFurtherCluster(system, "paris");
  viewer = await program("viewer", "Viewer");
  await eventually(
    () => wrong(paris.profile.router),
    (found) => found.length === 0,
    { withinMs: 30_000, what: "The second cluster deciding by its authority's policy" },
  );
});
afterAll(async () => {
  await paris?.close();
  await system?.close();
});

async function program(name: string, role: string) {
  const keys = createClient(identity.ApiKeyService, system.transport());
  const { key, secret } = await keys.createApiKey({ name, role });
  return { id: key!.id, token: await requestToken(system.profile, { id: key!.id, secret }) };
}

/** What an administrator and a viewer are told by a router. */
async function answers(router: string): Promise<Told> {
  const { rootPem, org } = system.profile;
  const tokens = { admin: await system.token(), viewer: viewer.token };
  return answersOf({ router, rootPem, org, project, domain, ...tokens });
}
/** Who is told by it something else than they should be. */
const wrong = async (router: string) => unfit(await answers(router), whileInDate);

interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

async function biplane(...words: string[]): Promise<Ended> {
  const env = {
    ...process.env,
    BIPLANE_CONFIG_DIR: join(system.folder, "config"),
    ...system.environment(),
    BIPLANE_PROJECT: "",
  };
  try {
    return { code: 0, ...(await promisify(execFile)(process.execPath, [launcher, ...words], { env })) };
  } catch (error) {
    return error as Ended;
  }
}

async function json(...words: string[]) {
  const { stdout, stderr } = await biplane(...words, "-o", "json");
  if (stdout === "") throw new Error(stderr);
  return JSON.parse(stdout);
}

describe("roles and assignments on the command line (claim IAM-2)", () => {
  const place = ["-p", project, "-d", domain];
  const canAbort = ["can-i", "abort", "run", ...place];

  test("are made, explained, counted in every cluster, and taken away", async () => {
    expect((await biplane(...canAbort, "--as", viewer.id)).code).toBe(4);
    await json(
      "create",
      "role",
      "Stopper",
      "--permission",
      "run.abort,run.read",
      "--permission",
      "records.read",
    );
    const made = await json("create", "assignment", "--user", viewer.id, "--role", "Stopper", ...place);
    expect(made).toMatchObject({ role: "Stopper", user: viewer.id, project, domain });
    const why = await json(...canAbort, "--as", viewer.id);
    expect(why).toMatchObject({
      ...{ subject: viewer.id, permission: "run.abort", allowed: true },
      because: [{ policy: "role Stopper", assignments: [{ assignment: made.assignment }] }],
    });
    const text = (await biplane(...canAbort, "--as", viewer.id)).stdout;
    expect(text).toContain(`Stopper for ${viewer.id} in ${project}/${domain}`);
    for (const router of [system.profile.router, paris.profile.router]) {
      await eventually(
        async () => (await answers(router))["a viewer who aborts a run"],
        (told) => told !== "not_permitted",
        { withinMs: 10_000, what: "The new role counting in every cluster" },
      );
    }
    expect(await json("get", "role", "Stopper")).toMatchObject({ kind: "own" });
    expect((await biplane("get", "policy")).stdout).toContain('principal.hasTag("Stopper")');
    await json("delete", "assignment", made.assignment);
    await json("delete", "role", "Stopper");
    expect(await wrong(system.profile.router)).toEqual([]);
  });
});
