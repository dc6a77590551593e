/**
 * A control plane that was taken over, on the honest one's own state and keys, against a running data plane (claims
 * TRUST-1…3): each thing that it tries is refused, on record in the data plane, and shown to whoever is concerned.
 */
import { createHash } from "node:crypto";
import { mkdtempSync } from "node:fs";
import { join, resolve } from "node:path";
import { type AuditCode, type AuditRecord, decodeAuditRecord } from "@biplane/audit";
import type { ClusterId, OrgId } from "@biplane/base";
import { audit, clusters, flyte } from "@biplane/data-wire";
import { createClientTransport } from "@biplane/kit";
import type { RemoteClient, RemoteRun } from "@biplane/sdk/remote/client";
import { eventually } from "@biplane/verify/frame/eventually";
import {
  attacker,
  type HostileControlPlane,
  intentAttacks,
  messageAttacks,
  startHostileControlPlane,
} from "@biplane/verify/hostile-control-plane/index";
import { ownTokens } from "@biplane/verify/hostile-control-plane/own-tokens";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { newSecret, writeJoinCode } from "../../planes/data/clusters/join-code.ts";
import { joinOrganization } from "../../planes/data/join.ts";
import { quiet } from "../support/control-plane.ts";
import { domain, org, project, type System, startSystem } from "./system.ts";

const workflow = resolve(import.meta.dirname, "workflows/numbers.ts");
let system: System;
let client: RemoteClient;
let hostile: HostileControlPlane;

beforeAll(async () => {
  system = await startSystem();
  client = await system.connect();
  await system.control.stop();
  const { link: port } = system.ports;
  const place = { folder: join(system.folder, "control"), port, org };
  hostile = await startHostileControlPlane({ ...place, logPath: join(system.folder, "hostile.log") });
  await runsAsItShould();
  // A second version of the policy, so that there is an older one.
  await client.connection.apiKeys.createApiKey({ name: "second", role: "Viewer" });
});
afterAll(async () => {
  await hostile?.stop();
  await system?.close();
});

const addOne = () => client.run({ file: workflow, task: "add-one" }, { n: 1 });
const ended = (run: RemoteRun) => run.wait(AbortSignal.timeout(30_000));

/** The control of everything here: what the same control plane says honestly is obeyed. */
async function runsAsItShould(): Promise<RemoteRun> {
  const run = await eventually(addOne, () => true, { withinMs: 30_000, what: "A run being accepted" });
  expect(await ended(run)).toMatchObject({ succeeded: true });
  expect(await run.outputs()).toBe(2);
  return run;
}

async function records(...codes: AuditCode[]): Promise<AuditRecord[]> {
  const found: AuditRecord[] = [];
  const request = { plane: audit.AuditPlane.DATA, codes };
  for await (const { record } of client.connection.audit.readRecords(request)) {
    found.push(decodeAuditRecord(record));
  }
  return found;
}

/** Waits for a record that was not there before. */
async function newRecord(
  code: AuditCode,
  before: readonly AuditRecord[],
  matches: (record: AuditRecord) => boolean,
): Promise<AuditRecord> {
  const found = await eventually(
    async () => (await records(code)).slice(before.length).find(matches),
    (record) => record !== undefined,
    { withinMs: 20_000, what: `A record ${code}` },
  );
  return found!;
}

describe("an intent that is not what was submitted", () => {
  test.each(Object.entries(intentAttacks).map(([name, attack]) => ({ name, ...attack })))(
    "$name: the run fails with the reason, and it is on record (claim $claim)",
    async ({ name, audited, shown }) => {
      const before = await records("INTENT_REFUSED");
      await hostile.changeIntents(name);
      const run = await addOne();
      const end = await ended(run);
      await hostile.beHonest();
      expect(end).toMatchObject({ succeeded: false, phase: "failed" });
      expect(end.error).toMatch(shown);
      await newRecord("INTENT_REFUSED", before, ({ reason }) => reason === audited);
      const details = await run.details();
      expect(details.attempts.filter(({ startTime }) => startTime !== undefined)).toEqual([]);
      await runsAsItShould();
    },
  );

  test("a run that nobody submitted: nothing starts, and it is on record (claim TRUST-2)", async () => {
    const before = await records("INTENT_REFUSED");
    await hostile.sendIntentOfNobody();
    await runsAsItShould();
    await hostile.beHonest();
    const record = await newRecord("INTENT_REFUSED", before, ({ run }) => run === "never-submitted");
    expect(record).toMatchObject({ reason: "document_missing", decision: "refused" });
    expect((await client.list()).map(({ name }) => name)).not.toContain("never-submitted");
  });
});

describe("a message that the control plane says of itself", () => {
  test.each(Object.entries(messageAttacks).map(([name, attack]) => ({ name, ...attack })))(
    "$name: refused, and on record (claim $claim)",
    async ({ name, audited: { code, reason } }) => {
      // Also brings every type of message into this connection.
      await runsAsItShould();
      const before = await records(code);
      const runs = (await client.list()).length;
      await hostile.say(name);
      await newRecord(code, before, (record) => reason.test(record.reason ?? ""));
      expect((await client.list()).length).toBe(runs);
    },
  );

  test("control: after all of that an honest run is obeyed, and the policy is the one that was signed", async () => {
    await runsAsItShould();
    const identity = createClient(flyte.auth.IdentityService, system.transport());
    expect((await identity.userInfo({})).subject).not.toBe("");
  });
});

/** A client of the router with this token, and with no other means. */
function presenting(token: string) {
  const transport = createClientTransport({
    baseUrl: system.profile.router,
    tls: { authorityPem: system.profile.rootPem },
    interceptors: [
      (next) => (request) => {
        request.header.set("authorization", `Bearer ${token}`);
        return next(request);
      },
    ],
  });
  return {
    identity: createClient(flyte.auth.IdentityService, transport),
    runs: createClient(flyte.workflow.RunService, transport),
  };
}

const userInfo = (token: string) => presenting(token).identity.userInfo({});

describe("a token that the authority did not make for the router (claim TRUST-1)", () => {
  test("every token that the control plane ever received is refused at the router, and on record", async () => {
    const tokens = await hostile.tokens();
    expect(tokens.length).toBeGreaterThan(0);
    for (const token of tokens) await refusedAsStranger(token);
  });

  test("tokens of its own making are refused, whatever they say of themselves", async () => {
    const { http } = client.connection;
    const answer = await http.send(`${system.profile.authority}/jwks`, { method: "GET" });
    const [key] = (JSON.parse(await http.text(answer)) as { keys: { kid: string; x: string }[] }).keys;
    const tokens = ownTokens(system.profile.authority, org, attacker, key!);
    for (const token of Object.values(tokens)) await refusedAsStranger(token);
  });

  test("control: a token of the authority is taken", async () => {
    expect((await userInfo(await system.token())).subject).not.toBe("");
  });

  async function refusedAsStranger(token: string): Promise<void> {
    const before = await records("REQUEST_REFUSED");
    await expect(userInfo(token)).rejects.toMatchObject({ code: Code.Unauthenticated });
    const listing = presenting(token).runs.listRuns({
      scopeBy: { case: "projectId", value: { organization: org, name: project, domain } },
    });
    await expect(listing).rejects.toBeInstanceOf(ConnectError);
    const after = (await records("REQUEST_REFUSED")).slice(before.length);
    expect(after.map(({ method, decision }) => [method, decision])).toEqual([
      ["flyteidl2.auth.IdentityService/UserInfo", "unauthenticated"],
      ["flyteidl2.workflow.RunService/ListRuns", "unauthenticated"],
    ]);
  }
});

describe("a cluster that joins (claim TRUST-1)", () => {
  const joinWith = async (code: string) =>
    joinOrganization({
      state: mkdtempSync(join(system.folder, "joined-")),
      code,
      enrollCode: await hostile.enrollCode("paris"),
      region: "local",
      log: quiet,
    });

  test("by a code of the control plane's own making is refused by the home cluster, and on record", async () => {
    const before = await records("CLUSTER_JOINED");
    const { router: home, rootPem } = system.profile;
    const names = { org: org as OrgId, cluster: "paris" as ClusterId };
    const code = writeJoinCode({ ...names, home, rootPem, secret: newSecret() }).reveal();
    await expect(joinWith(code)).rejects.toMatchObject({ code: "permission_denied", reason: "join_code" });
    await newRecord("CLUSTER_JOINED", before, ({ decision }) => decision === "refused");
  });

  test("control: by a code of the authority joins", async () => {
    const places = { router: "https://paris.acme.test:8443", objects: "https://paris.acme.test:8445" };
    const membership = createClient(clusters.MembershipService, system.transport());
    const { code } = await membership.createJoinCode({ cluster: "paris", ...places });
    expect((await joinWith(code)).config).toMatchObject({ org, cluster: "paris" });
  });
});

describe("what was submitted, overwritten afterwards (claim TRUST-2)", () => {
  const place = { org, project, domain };
  const first = Buffer.from("what was submitted");
  const other = Buffer.from("what is put there afterwards");
  const md5 = (bytes: Uint8Array) => createHash("md5").update(bytes).digest();
  const locationOf = (bytes: Uint8Array) =>
    client.connection.data.createUploadLocation({
      ...place,
      filename: "submitted.txt",
      filenameRoot: "overwritten",
      contentMd5: md5(bytes),
    });

  async function put(url: string, bytes: Uint8Array, digest: Uint8Array): Promise<string> {
    const headers = {
      "content-length": String(bytes.byteLength),
      "content-md5": Buffer.from(digest).toString("base64"),
    };
    const { http } = client.connection;
    const answer = await http.send(url, { method: "PUT", headers, body: bytes });
    const text = await http.text(answer);
    return answer.status === 200
      ? "stored"
      : (/<Code>(\w+)<\/Code>/.exec(text)?.[1] ?? String(answer.status));
  }

  test("its upload URL takes the same bytes again and no others; nothing else may go there", async () => {
    const { signedUrl } = await locationOf(first);
    expect(await put(signedUrl, first, md5(first))).toBe("stored");
    expect(await put(signedUrl, first, md5(first))).toBe("stored");
    expect(await put(signedUrl, other, md5(first))).toBe("BadDigest");
    expect(await put(signedUrl, other, md5(other))).toBe("SignatureDoesNotMatch");
    await expect(locationOf(other)).rejects.toMatchObject({ code: Code.AlreadyExists });
    const refused = await records("OBJECT_REFUSED");
    expect(refused.map(({ reason }) => reason)).toEqual(["BadDigest", "SignatureDoesNotMatch"]);
  });

  test.each(["../../inputs/stolen", "/etc/passwd", "a/../../b", "a\u0000b"])(
    "no upload goes to %j",
    async (filename) => {
      const asked = client.connection.data.createUploadLocation({
        ...place,
        filename,
        contentMd5: md5(first),
      });
      await expect(asked).rejects.toMatchObject({ code: Code.InvalidArgument });
    },
  );
});

test("a server in the router's place, with a certificate of the provider, gets nothing from a client (claim TRUST-1)", async () => {
  await system.edge.stop();
  await hostile.impersonate(system.ports.router);
  await expect(client.list()).rejects.toThrow(/does not trust|certificate/);
  expect(await hostile.endImpersonation()).toBe(0);
  await system.edge.start();
  await eventually(
    () => client.list(),
    () => true,
    { withinMs: 30_000, what: "The router being reached again" },
  );
});
