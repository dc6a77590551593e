/**
 * What tasks may do over time: their tokens are renewed for as long as they run, and what they do in somebody's name ends
 * when that somebody is kept out (claims IAM-1, IAM-4).
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { type AuditRecord, decodeAuditRecord } from "@biplane/audit";
import { audit, identity } from "@biplane/data-wire";
import { ConfigStore } from "@biplane/sdk/remote";
import { connect, type RemoteClient } from "@biplane/sdk/remote/client";
import { eventually } from "@biplane/verify/frame/eventually";
import { Person } from "@biplane/verify/sign-in/person";
import { createClient } from "@connectrpc/connect";
import { afterAll, beforeAll, expect, test } from "vitest";
import { describeWithTools } from "../support/tools.ts";
import { domain, org, project, type System, startSystem } from "./system.ts";

const workflow = resolve(import.meta.dirname, "workflows/tokens.ts");
/** Shortened. */
const tokenSeconds = 3;
const giveUpMs = 90_000;
/** A read in the submitter's name. */
const listRuns = {
  method: "flyteidl2.workflow.RunService/ListRuns",
  body: JSON.stringify({ projectId: { organization: org, name: project, domain }, request: { limit: 1 } }),
};

let system: System;

describeWithTools("a task's token", ["bubblewrap"], () => {
  beforeAll(async () => {
    system = await startSystem({ dataParameters: ["--task-token-seconds", String(tokenSeconds)] });
  });
  afterAll(() => system?.close());

  test("is renewed while the task runs, three lifetimes and longer; one that was kept is refused (claim IAM-4)", async () => {
    const client = await system.connect();
    const lastMs = 3 * tokenSeconds * 1_000 + 1_000;
    const run = await client.run({ file: workflow, task: "outlive" }, { lastMs, giveUpMs, call: listRuns });
    expect(await run.wait(AbortSignal.timeout(2 * giveUpMs))).toMatchObject({ succeeded: true });
    const seen = (await run.outputs()) as { lastedMs: number; subActions: number; tokens: number };
    expect(seen).toMatchObject({ told: ["ok"], toldFirst: "unauthenticated" });
    expect(seen.lastedMs).toBeGreaterThan(lastMs);
    expect(seen.tokens).toBeGreaterThan(3);
    expect(seen.subActions).toBeGreaterThan(3);
  });

  test("of somebody who is disabled: the task ends its own work, and does nothing more in that name (claim IAM-1)", async () => {
    const person = await Person.invite(
      system.profile,
      system.transport(),
      "grace@example.com",
      "Contributor",
    );
    const client = await signedIn(await person.signIn());
    const task = { file: workflow, task: "until-refused" };
    const run = await client.run(task, { giveUpMs, call: listRuns });
    const administrator = await system.connect();
    await eventually(
      () => delegated(administrator, person.subject),
      (records) => records.some(({ decision }) => decision === "allowed"),
      { withinMs: giveUpMs, what: "The task having listed runs in its submitter's name" },
    );
    const users = createClient(identity.UserService, system.transport());
    await users.disableUser({ user: person.subject });
    const end = await administrator.getRun(run.name).wait(AbortSignal.timeout(2 * giveUpMs));
    expect(end).toMatchObject({ succeeded: true });
    const { told, afterwards } = (await administrator.getRun(run.name).outputs()) as {
      told: string[];
      afterwards: number;
    };
    expect(told[0]).toBe("ok");
    expect(told.at(-1)).toBe("permission_denied");
    expect(afterwards).toBe(42);
    const denied = (await delegated(administrator, person.subject)).filter(
      ({ decision }) => decision === "denied",
    );
    expect(denied).toHaveLength(1);
    await expect(client.run(task, { giveUpMs, call: listRuns })).rejects.toThrow("signed in");
  });

  /** What was asked with a task's token, in somebody's name. */
  async function delegated(client: RemoteClient, submitter: string): Promise<AuditRecord[]> {
    const found: AuditRecord[] = [];
    for await (const { record } of client.connection.audit.readRecords({ plane: audit.AuditPlane.DATA })) {
      const read = decodeAuditRecord(record);
      if (read.method === listRuns.method && read.actingFor === submitter) found.push(read);
    }
    return found;
  }
});

/** As the command line's store gives it to the SDK. */
async function signedIn(accessToken: string): Promise<RemoteClient> {
  const folder = mkdtempSync(join(tmpdir(), "biplane-config-"));
  process.env["BIPLANE_CONFIG_DIR"] = folder;
  try {
    const store = new ConfigStore();
    const { profile } = system;
    await store.update((config) => ({
      ...config,
      profiles: { person: { profile: profile as never } },
    }));
    await store.saveCredentials("person", {
      kind: "user",
      accessToken,
      expiresAtMs: Date.now() + 600_000,
    });
    return await connect({ profile: "person", project, domain });
  } finally {
    delete process.env["BIPLANE_CONFIG_DIR"];
    process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
  }
}
