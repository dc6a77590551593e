import { generateKeyPairSync } from "node:crypto";
import { mkdtemp } from "node:fs/promises";
import { connect as connectHttp2 } from "node:http2";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { AttemptId } from "@biplane/base";
import { flyte, records } from "@biplane/data-wire";
import { createClientTransport } from "@biplane/kit/connect-client";
import { Code, type ConnectError, createClient, type Interceptor } from "@connectrpc/connect";
import { SignJWT } from "jose";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { clusterIssuer, taskTokenType } from "../identity/tokens.ts";
import { startTestPlane, type TestClient, type TestPlane, testCluster, testOrg } from "../plane.testing.ts";

let plane: TestPlane;
let admin: TestClient;
const attempt = {
  org: testOrg,
  project: "flights",
  domain: "development",
  run: "r1",
  action: "a0",
  attempt: 1,
} as AttemptId;

beforeAll(async () => {
  plane = await startTestPlane();
  admin = await plane.client("Admin");
});
afterAll(() => plane?.close());

function whoAmI(token: string | undefined) {
  return createClient(flyte.auth.IdentityService, plane.transport(token)).userInfo({});
}

async function codeOf(work: Promise<unknown>): Promise<Code | "ok"> {
  return work.then(
    () => "ok" as const,
    (error: ConnectError) => error.code,
  );
}

describe("tokens at the public entrance", () => {
  test("one of the authority's opens the router (control of the attacks below)", async () => {
    expect((await whoAmI(admin.token)).subject).toBe(admin.id);
  });

  const forgeries: Record<string, () => Promise<string | undefined>> = {
    "no token": async () => undefined,
    "no JWT": async () => "abc",
    "algorithm none": async () => unsigned(admin.token),
    "the public key used as a shared secret": async () => signedWithPublicKey(),
    "another key": async () => forged({}, generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey),
    "the audience of control tokens": async () => forged({ aud: "biplane:control" }),
    "an expired token": async () => forged({ exp: Math.floor(Date.now() / 1_000) - 60 }),
    "another issuer": async () => forged({ iss: "https://evil.example" }),
    "another organization": async () => forged({ org: "other" }),
    "a kind that says task": async () => forged({ kind: "task" }),
    "an ID token in place of an access token": async () => forged({}, undefined, "JWT"),
    "a control token": async () => (await plane.stores.identity.tokens.controlToken(admin.id)).reveal(),
    "a task token (claim IAM-4)": async () =>
      (await plane.stores.identity.tokens.taskToken(attempt, admin.id)).reveal(),
    "a token with a changed claim": async () => altered(admin.token),
  };

  test.each(Object.keys(forgeries))("%s is unauthenticated", async (name) => {
    expect(await codeOf(whoAmI(await forgeries[name]!()))).toBe(Code.Unauthenticated);
  });

  test("the forger's own tools work: an honest copy is accepted", async () => {
    expect(await codeOf(whoAmI(await forged({})))).toBe("ok");
  });

  test("every refusal is on record, without the token (claim AUD-1)", async () => {
    await codeOf(whoAmI("abc"));
    const last = (await plane.audit()).at(-1)!;
    expect(last).toMatchObject({
      decision: "unauthenticated",
      method: "flyteidl2.auth.IdentityService/UserInfo",
      subject: "",
      reason: "token_refused",
    });
    expect(last.address).toMatch(/127\.0\.0\.1|::1/);
  });
});

describe("tokens at a sandbox's entrance", () => {
  async function inSandbox(inside: AttemptId | undefined, token: string) {
    const path = join(await mkdtemp(join(tmpdir(), "sandbox-")), "router.sock");
    const entrance = await plane.routing.router.openSandbox(path, () => inside);
    const transport = createClientTransport({
      baseUrl: plane.config.addresses.router,
      tls: { authorityPem: plane.rootPem },
      socketPath: path,
      interceptors: [bearer(token)],
    });
    try {
      return await codeOf(createClient(flyte.auth.IdentityService, transport).userInfo({}));
    } finally {
      entrance.close();
    }
  }
  const taskToken = async (of: AttemptId) =>
    (await plane.stores.identity.tokens.taskToken(of, admin.id)).reveal();

  test("the attempt's own is accepted", async () => {
    expect(await inSandbox(attempt, await taskToken(attempt))).toBe("ok");
  });

  test("another attempt's is not, nor any while nobody is inside", async () => {
    const other = { ...attempt, attempt: 2 };
    expect(await inSandbox(other, await taskToken(attempt))).toBe(Code.PermissionDenied);
    expect(await inSandbox(undefined, await taskToken(attempt))).toBe(Code.PermissionDenied);
  });

  test("a person's or program's is not", async () => {
    expect(await inSandbox(attempt, admin.token)).toBe(Code.Unauthenticated);
  });

  test("an ended attempt's is not, and it is not asked to sign in again", async () => {
    const ended = { ...attempt, run: "r2" } as AttemptId;
    const token = await taskToken(ended);
    expect(await inSandbox(ended, token)).toBe("ok");
    plane.stores.identity.tokens.revokeAttempt(ended);
    expect(await inSandbox(ended, token)).toBe(Code.PermissionDenied);
  });
});

describe("before the body", () => {
  test("a foreign authority is answered 421, over both versions of HTTP", async () => {
    expect(await statusOverHttp1({ host: "evil.example" })).toBe(421);
    expect(await statusOverHttp2("evil.example")).toBe(421);
    const { host } = new URL(plane.config.addresses.router);
    expect(await statusOverHttp1({ host })).toBe(401);
    expect(await statusOverHttp2(host)).toBe(401);
  });

  test("a body that is too large is refused by its announcement, before anyone is authenticated", async () => {
    const { host } = new URL(plane.config.addresses.router);
    expect(await statusOverHttp1({ host, "content-length": String(25 * 1024 * 1024) })).toBe(400);
  });

  test("a method that nobody serves is unimplemented", async () => {
    const { host } = new URL(plane.config.addresses.router);
    expect(await statusOverHttp1({ host }, "/flyteidl2.secret.SecretService/GetSecret")).toBe(501);
    expect(await statusOverHttp1({ host }, "/biplane.control.v1.IndexService/ListRuns")).toBe(501);
  });

  test("health needs no token", async () => {
    const { host } = new URL(plane.config.addresses.router);
    expect(await statusOverHttp1({ host }, "/healthz", "GET")).toBe(200);
  });
});

describe("organizations", () => {
  test("another one's things are not found (claim ISO-1)", async () => {
    const runs = createClient(flyte.workflow.RunService, plane.transport(admin.token));
    const runId = { org: "other", project: "flights", domain: "development", name: "r1" };
    expect(await codeOf(runs.getRunDetails({ runId }))).toBe(Code.NotFound);
    const client = createClient(records.ControlPlaneRecordsService, plane.transport(admin.token));
    expect(await codeOf(client.getRun({ run: runId }))).toBe(Code.NotFound);
  });

  test("an empty one is the caller's own", async () => {
    const projects = createClient(flyte.project.ProjectService, plane.transport(admin.token));
    await projects.createProject({ project: { id: "defaulted", name: "Defaulted" } });
    const { project } = await projects.getProject({ id: "defaulted" });
    expect(project).toMatchObject({ org: testOrg, id: "defaulted" });
  });
});

function bearer(token: string): Interceptor {
  return (next) => (outgoing) => {
    outgoing.header.set("authorization", `Bearer ${token}`);
    return next(outgoing);
  };
}

const authorityKey = () => plane.stores.identity.keys.authority;

/** What the authority itself would sign, but for the differences. */
function forged(
  differences: Record<string, unknown>,
  key: Parameters<SignJWT["sign"]>[0] = authorityKey().privateKey,
  typ = "at+jwt",
): Promise<string> {
  const now = Math.floor(Date.now() / 1_000);
  const claims = {
    iss: plane.config.addresses.authority,
    sub: admin.id,
    aud: "biplane:router",
    org: testOrg,
    kind: "service",
    jti: "j",
    iat: now,
    exp: now + 60,
    ...differences,
  };
  return new SignJWT(claims).setProtectedHeader({ alg: "ES256", kid: authorityKey().kid, typ }).sign(key);
}

function signedWithPublicKey(): Promise<string> {
  const secret = new TextEncoder().encode(JSON.stringify(authorityKey().publicJwk));
  const claims = { sub: admin.id, org: testOrg, kind: "service", jti: "j" };
  return new SignJWT(claims)
    .setProtectedHeader({ alg: "HS256", typ: "at+jwt" })
    .setIssuer(plane.config.addresses.authority)
    .setAudience("biplane:router")
    .setExpirationTime("1m")
    .sign(secret);
}

function unsigned(token: string): string {
  const header = Buffer.from(JSON.stringify({ alg: "none", typ: "at+jwt" })).toString("base64url");
  return `${header}.${token.split(".")[1]}.`;
}

function altered(token: string): string {
  const [header, payload, signature] = token.split(".");
  const claims = JSON.parse(Buffer.from(payload!, "base64url").toString()) as object;
  const changed = Buffer.from(JSON.stringify({ ...claims, sub: "somebody" })).toString("base64url");
  return `${header}.${changed}.${signature}`;
}

function statusOverHttp1(
  headers: Record<string, string>,
  path = "/flyteidl2.auth.IdentityService/UserInfo",
  method = "POST",
): Promise<number> {
  return new Promise((resolve, reject) => {
    const url = new URL(path, plane.config.addresses.router);
    const all = { "content-type": "application/proto", ...headers };
    const options = { method, headers: all, ca: plane.rootPem, servername: "localhost" };
    const outgoing = request(url, options, (response) => {
      response.resume();
      resolve(response.statusCode!);
      outgoing.destroy();
    });
    outgoing.on("error", reject);
    if ("content-length" in headers) outgoing.flushHeaders();
    else outgoing.end();
  });
}

function statusOverHttp2(authority: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const session = connectHttp2(plane.config.addresses.router, { ca: plane.rootPem });
    session.on("error", reject);
    const stream = session.request({
      ":method": "POST",
      ":authority": authority,
      ":path": "/flyteidl2.auth.IdentityService/UserInfo",
      "content-type": "application/proto",
    });
    stream.on("response", (headers) => {
      resolve(Number(headers[":status"]));
      session.destroy();
    });
    stream.end();
  });
}

test("a task token of another cluster's key is not accepted", async () => {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const token = await new SignJWT({ ...attempt, kind: "task", acting_for: admin.id, org: testOrg })
    .setProtectedHeader({ alg: "ES256", typ: taskTokenType })
    .setIssuer(clusterIssuer(testOrg, testCluster))
    .setSubject("task:x")
    .setAudience("biplane:router")
    .setJti("j")
    .setExpirationTime("1m")
    .sign(privateKey);
  const entrance = { kind: "sandbox", attempt: () => attempt } as const;
  await expect(
    plane.stores.identity.authenticator.authenticate(`Bearer ${token}`, entrance),
  ).rejects.toMatchObject({ code: "unauthenticated" });
});

test("what strangers may send is small: an anonymous request with a body is refused", async () => {
  const { host } = new URL(plane.config.addresses.router);
  const path = "/flyteidl2.auth.AuthMetadataService/GetPublicClientConfig";
  expect(await postBytes(path, host, 0)).toBe(200);
  expect(await postBytes(path, host, 100_000)).toBe(429);
});

function postBytes(path: string, host: string, bytes: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const headers = { "content-type": "application/proto", host };
    const url = new URL(path, plane.config.addresses.router);
    const outgoing = request(url, { method: "POST", headers, ca: plane.rootPem }, (response) => {
      response.resume();
      resolve(response.statusCode!);
    });
    outgoing.on("error", reject);
    outgoing.end(Buffer.alloc(bytes));
  });
}
