/**
 * Who may do what, as people meet it: by the command line, in two clusters and the control plane, and while the control
 * plane is away (claims IAM-2, IAM-3).
 */
import { execFile } from "node:child_process";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { flyte, identity } from "@biplane/data-wire";
import { createClientTransport } from "@biplane/kit";
import { eventually } from "@biplane/verify/frame/eventually";
import { ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type FurtherCluster, startFurtherCluster } from "./further-cluster.ts";
import { requestToken } from "./sign-in.ts";
import { domain, project, type System, startSystem } from "./system.ts";

const launcher = resolve(import.meta.dirname, "../../clients/cli/bin/biplane.mjs");
/** Long enough for what is asked before it ends, on a busy machine. */
const policySeconds = 40;

let system: System;
let paris: FurtherCluster;
let viewer: { readonly id: string; readonly token: string };

beforeAll(async () => {
  system = await startSystem({ dataParameters: ["--policy-lifetime", String(policySeconds)] });
  paris = await startFurtherCluster(system, "paris");
  viewer = await program("viewer", "Viewer");
  await eventually(
    async () => expect(await answers(paris.profile.router)).toEqual(whileInDate),
    () => true,
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

function transportTo(router: string, token: string): Transport {
  return createClientTransport({
    baseUrl: router,
    tls: { authorityPem: system.profile.rootPem },
    interceptors: [
      (next) => (request) => {
        request.header.set("authorization", `Bearer ${token}`);
        return next(request);
      },
    ],
  });
}

async function outcomeOf(call: Promise<unknown>): Promise<string> {
  try {
    await call;
    return "ok";
  } catch (error) {
    const { metadata, rawMessage } = ConnectError.from(error);
    return metadata.get("biplane-reason") ?? rawMessage;
  }
}

/** What an administrator and a viewer are told by a router. */
async function answers(router: string): Promise<Record<string, string>> {
  const told: Record<string, string> = {};
  for (const [who, token] of [
    ["admin", await system.token()],
    ["viewer", viewer.token],
  ] as const) {
    const transport = transportTo(router, token);
    const runs = createClient(flyte.workflow.RunService, transport);
    const scopeBy = { case: "projectId", value: { organization: "acme", name: project, domain } } as const;
    told[`${who} lists runs`] = await outcomeOf(runs.listRuns({ scopeBy }));
    const runId = { org: "acme", project, domain, name: "no-such-run" };
    told[`${who} aborts a run`] = await outcomeOf(runs.abortRun({ runId }));
  }
  return told;
}
const whileInDate = {
  "admin lists runs": "ok",
  "admin aborts a run": expect.stringMatching(/no run|not_found|unknown/i),
  "viewer lists runs": "ok",
  "viewer aborts a run": "not_permitted",
};
const afterwards = Object.fromEntries(Object.keys(whileInDate).map((name) => [name, "policy_stale"]));

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
        async () => (await answers(router))["viewer aborts a run"],
        (told) => told !== "not_permitted",
        { withinMs: 10_000, what: "The new role counting in every cluster" },
      );
    }
    expect(await json("get", "role", "Stopper")).toMatchObject({ kind: "own" });
    expect((await biplane("get", "policy")).stdout).toContain('principal.hasTag("Stopper")');
    await json("delete", "assignment", made.assignment);
    await json("delete", "role", "Stopper");
    expect(await answers(system.profile.router)).toEqual(whileInDate);
  });
});

test("with the control plane stopped what was allowed stays allowed and what was refused stays refused, until the policy goes stale; then a cluster away from home refuses all (claim IAM-3)", async () => {
  await system.control.stop();
  expect(await answers(paris.profile.router)).toEqual(whileInDate);
  expect(await answers(system.profile.router)).toEqual(whileInDate);
  await eventually(
    () => answers(paris.profile.router),
    (told) => told["admin lists runs"] !== "ok",
    { withinMs: 2 * policySeconds * 1_000, what: "The policy going stale" },
  );
  expect(await answers(paris.profile.router)).toEqual(afterwards);
  // The control: home signs for itself, and the same cluster goes on once it hears of that.
  expect(await answers(system.profile.router)).toEqual(whileInDate);
  await system.control.start();
  await eventually(
    () => answers(paris.profile.router),
    (told) => told["admin lists runs"] === "ok",
    { withinMs: 60_000, what: "A newer policy over the link" },
  );
  expect(await answers(paris.profile.router)).toEqual(whileInDate);
});
