/**
 * Tokens that nobody here issued, or not for this place: each is refused at the router's two entrances. The forger has
 * the authority's own keys, so that every forgery differs from an honest token in one thing only.
 */
import { generateKeyPairSync } from "node:crypto";
import { mkdtemp } from "node:fs/promises";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { AttemptId, Secret } from "@biplane/base";
import { flyte } from "@biplane/data-wire";
import { audiences, tokenTypes } from "@biplane/identity";
import { createClientTransport } from "@biplane/kit/connect-client";
import { Code, type ConnectError, createClient, type Interceptor } from "@connectrpc/connect";
import { SignJWT } from "jose";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { principalOf } from "../../../tests/support/principal.ts";
import type { SigningKey } from "../identity/signing-keys.ts";
import { clusterIssuer } from "../identity/tokens.ts";
import { startTestPlane, type TestClient, type TestPlane, testCluster, testOrg } from "../plane.testing.ts";

let plane: TestPlane;
/** An organization, cluster and administrator of the same names, rooted elsewhere. */
let other: TestPlane;
let admin: TestClient;
let otherAdmin: TestClient;
const attempt = {
  org: testOrg,
  project: "flights",
  domain: "development",
  run: "r1",
  action: "a0",
  attempt: 1,
} as AttemptId;

beforeAll(async () => {
  [plane, other] = await Promise.all([startTestPlane(), startTestPlane()]);
  admin = await plane.client("Admin");
  otherAdmin = await other.client("Admin");
});
afterAll(async () => {
  await plane?.close();
  await other?.close();
});

const keys = () => plane.stores.identity.keys;
const now = () => Math.floor(Date.now() / 1_000);
const stranger = generateKeyPairSync("ec", { namedCurve: "P-256" });
const strangerJwk = stranger.publicKey.export({ format: "jwk" });

interface Forgery {
  readonly claims?: Record<string, unknown>;
  readonly header?: Record<string, unknown>;
  readonly key?: Parameters<SignJWT["sign"]>[0];
}

/** What the authority would sign for the administrator, but for the differences. */
function routerToken(forgery: Forgery = {}): Promise<string> {
  const claims = { iss: plane.config.addresses.authority, sub: admin.id, kind: "service" };
  return sign(keys().authority, tokenTypes.router, claims, forgery);
}

/** What this cluster would sign for the attempt, but for the differences. */
function taskToken(forgery: Forgery = {}): Promise<string> {
  const { project, domain, run, action } = attempt;
  const named = { project, domain, run, action, attempt: attempt.attempt, acting_for: admin.id };
  const claims = { iss: clusterIssuer(testOrg, testCluster), sub: "task:x", kind: "task", ...named };
  return sign(keys().task, tokenTypes.task, claims, forgery);
}

function sign(
  { kid, privateKey }: SigningKey,
  typ: string,
  claims: Record<string, unknown>,
  { claims: otherClaims, header, key = privateKey }: Forgery,
): Promise<string> {
  const common = { aud: audiences.router, org: testOrg, jti: "j", iat: now(), exp: now() + 60 };
  return new SignJWT({ ...common, ...claims, ...otherClaims })
    .setProtectedHeader({ alg: "ES256", kid, typ, ...header })
    .sign(key);
}

/** Differences that no kind of token may have. */
const forgeries: Readonly<Record<string, () => Forgery>> = {
  "another key under this key's name": () => ({ key: stranger.privateKey }),
  "another key, brought along in the header": () => ({
    key: stranger.privateKey,
    header: { jwk: strangerJwk, kid: undefined },
  }),
  "another key, with an address to fetch it from": () => ({
    key: stranger.privateKey,
    header: { jku: "https://localhost:1/jwks", kid: "k" },
  }),
  "another key under a name that is a path": () => ({
    key: stranger.privateKey,
    header: { kid: "../../../dev/null" },
  }),
  "the key of control tokens": () => ({
    key: keys().control.privateKey,
    header: { kid: keys().control.kid },
  }),
  "the audience of control tokens": () => ({ claims: { aud: audiences.control } }),
  "two audiences": () => ({ claims: { aud: [audiences.router, audiences.control] } }),
  "no audience": () => ({ claims: { aud: undefined } }),
  "another organization": () => ({ claims: { org: "other" } }),
  "no organization": () => ({ claims: { org: undefined } }),
  "another issuer": () => ({ claims: { iss: "https://evil.example" } }),
  "another cluster as issuer": () => ({ claims: { iss: clusterIssuer(testOrg, "elsewhere") } }),
  "the type of an ID token": () => ({ header: { typ: "JWT" } }),
  "no type": () => ({ header: { typ: undefined } }),
  "a kind that nobody has": () => ({ claims: { kind: "admin" } }),
  "no kind": () => ({ claims: { kind: undefined } }),
  "an end that has passed": () => ({ claims: { iat: now() - 120, exp: now() - 60 } }),
  "no end": () => ({ claims: { exp: undefined } }),
  "a beginning that has not come": () => ({ claims: { nbf: now() + 60 } }),
  "an issue that is dated ahead": () => ({ claims: { iat: now() + 60, exp: now() + 120 } }),
  "no issue": () => ({ claims: { iat: undefined } }),
  "a life of a day": () => ({ claims: { exp: now() + 86_400 } }),
  "no id": () => ({ claims: { jti: undefined } }),
  "no subject": () => ({ claims: { sub: undefined } }),
};

/** Honest ones, as far as clocks of honest machines differ. */
const honest: Readonly<Record<string, () => Forgery>> = {
  "no difference": () => ({}),
  "an end that passed 3 seconds ago": () => ({ claims: { iat: now() - 60, exp: now() - 3 } }),
  "an issue 3 seconds ahead": () => ({ claims: { iat: now() + 3 } }),
  "a beginning 3 seconds ahead": () => ({ claims: { nbf: now() + 3 } }),
};

async function codeOf(work: Promise<unknown>): Promise<Code | "ok"> {
  return work.then(
    () => "ok" as const,
    (error: ConnectError) => error.code,
  );
}

function atRouter(token: string | undefined): Promise<Code | "ok"> {
  return codeOf(createClient(flyte.auth.IdentityService, plane.transport(token)).userInfo({}));
}

function inSandbox(inside: AttemptId | undefined, token: string): Promise<Code | "ok"> {
  return withSandbox(inside, (socketPath) => {
    const transport = createClientTransport({
      baseUrl: plane.config.addresses.router,
      tls: { authorityPem: plane.rootPem },
      socketPath,
      interceptors: [bearer(token)],
    });
    return codeOf(createClient(flyte.auth.IdentityService, transport).userInfo({}));
  });
}

async function withSandbox<T>(
  inside: AttemptId | undefined,
  work: (socketPath: string) => Promise<T>,
): Promise<T> {
  const path = join(await mkdtemp(join(tmpdir(), "sandbox-")), "router.sock");
  const entrance = await plane.routing.router.openSandbox(path, () => inside);
  try {
    return await work(path);
  } finally {
    entrance.close();
  }
}

/** The status of a GET request. */
function statusOf(url: string, headers: Record<string, string>, socketPath?: string): Promise<number> {
  const way = socketPath === undefined ? {} : { socketPath };
  const options = { headers, ca: plane.rootPem, servername: "localhost", agent: false, ...way } as const;
  return new Promise((resolve, reject) => {
    const outgoing = request(url, options, (response) => {
      response.resume();
      resolve(response.statusCode!);
    });
    outgoing.on("error", reject);
    outgoing.end();
  });
}

function bearer(token: string): Interceptor {
  return (next) => (outgoing) => {
    outgoing.header.set("authorization", `Bearer ${token}`);
    return next(outgoing);
  };
}

/** Claims and header as they are, and no signature. */
function unsigned(token: string, alg: string): string {
  const header = JSON.parse(Buffer.from(token.split(".")[0]!, "base64url").toString()) as object;
  return `${Buffer.from(JSON.stringify({ ...header, alg })).toString("base64url")}.${token.split(".")[1]}.`;
}

function altered(token: string): string {
  const [header, payload, signature] = token.split(".");
  const claims = JSON.parse(Buffer.from(payload!, "base64url").toString()) as object;
  const changed = Buffer.from(JSON.stringify({ ...claims, sub: "somebody" })).toString("base64url");
  return `${header}.${changed}.${signature}`;
}

/** RFC 8725 section 2.1: a verifier that believes the header takes the public key for a shared secret. */
function signedWithPublicKey(claims: Record<string, unknown>): Promise<string> {
  const secret = new TextEncoder().encode(JSON.stringify(keys().authority.publicJwk));
  return new SignJWT(claims).setProtectedHeader({ alg: "HS256", typ: tokenTypes.router }).sign(secret);
}

const revealed = async (token: Promise<Secret<string>>) => (await token).reveal();

describe("at the public entrance (claims IAM-1, TRUST-1)", () => {
  test.each(Object.keys(honest))("control: a token with %s is accepted", async (name) => {
    expect(await atRouter(await routerToken(honest[name]!()))).toBe("ok");
    expect(await atRouter(admin.token)).toBe("ok");
  });

  test.each(Object.keys(forgeries))("a token with %s is unauthenticated", async (name) => {
    expect(await atRouter(await routerToken(forgeries[name]!()))).toBe(Code.Unauthenticated);
  });

  const others: Record<string, () => Promise<string | undefined>> = {
    "no token": async () => undefined,
    "no JWT": async () => "abc",
    "a token without its signature": async () => `${admin.token.split(".").slice(0, 2).join(".")}.`,
    "algorithm none": async () => unsigned(admin.token, "none"),
    "algorithm nOnE": async () => unsigned(admin.token, "nOnE"),
    "the public key used as a shared secret": () =>
      signedWithPublicKey({ iss: plane.config.addresses.authority, sub: admin.id, aud: audiences.router }),
    "a changed claim": async () => altered(admin.token),
    "the token of a control plane": () =>
      revealed(plane.stores.identity.tokens.controlToken(principalOf(admin.id))),
    "a task's token (claim IAM-4)": () => revealed(plane.stores.identity.tokens.taskToken(attempt, admin.id)),
    "the administrator's token of an authority that has the same names": async () => otherAdmin.token,
    "a token of 9,000 characters": async () => `${admin.token}${"A".repeat(9_000)}`,
  };
  test.each(Object.keys(others))("%s is unauthenticated", async (name) => {
    expect(await atRouter(await others[name]!())).toBe(Code.Unauthenticated);
  });

  test("every refusal is on record, without the token (claim AUD-1)", async () => {
    await atRouter("abc");
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

describe("at a sandbox's entrance (claim IAM-4)", () => {
  const own = () => revealed(plane.stores.identity.tokens.taskToken(attempt, admin.id));

  test("control: the attempt's own is accepted", async () => {
    expect(await inSandbox(attempt, await own())).toBe("ok");
  });

  test.each(Object.keys(honest))("control: a token with %s is accepted", async (name) => {
    expect(await inSandbox(attempt, await taskToken(honest[name]!()))).toBe("ok");
  });

  test.each(Object.keys(forgeries))("a token with %s is unauthenticated", async (name) => {
    expect(await inSandbox(attempt, await taskToken(forgeries[name]!()))).toBe(Code.Unauthenticated);
  });

  test("another attempt's is not accepted, nor any while nobody is inside", async () => {
    expect(await inSandbox({ ...attempt, attempt: 2 }, await own())).toBe(Code.PermissionDenied);
    expect(await inSandbox(undefined, await own())).toBe(Code.PermissionDenied);
  });

  test("neither is a person's or program's, nor one of a cluster that has the same names", async () => {
    expect(await inSandbox(attempt, admin.token)).toBe(Code.Unauthenticated);
    const foreign = revealed(other.stores.identity.tokens.taskToken(attempt, otherAdmin.id));
    expect(await inSandbox(attempt, await foreign)).toBe(Code.Unauthenticated);
    expect(await inSandbox(attempt, unsigned(await own(), "none"))).toBe(Code.Unauthenticated);
  });

  test("neither is a person's for the pages and files that the public entrance has", async () => {
    const url = `${plane.config.addresses.router}/audit/data/checkpoint`;
    const headers = { authorization: `Bearer ${admin.token}` };
    expect(await statusOf(url, headers)).toBe(200);
    await withSandbox(attempt, async (socketPath) => {
      expect(await statusOf(url, headers, socketPath)).toBe(404);
    });
  });

  test("an ended attempt's is not, and it is not asked to sign in again", async () => {
    const ended = { ...attempt, run: "r2" } as AttemptId;
    const token = await revealed(plane.stores.identity.tokens.taskToken(ended, admin.id));
    expect(await inSandbox(ended, token)).toBe("ok");
    plane.stores.identity.tokens.revokeAttempt(ended);
    expect(await inSandbox(ended, token)).toBe(Code.PermissionDenied);
  });
});

describe("what a control plane has seen (claim TRUST-1)", () => {
  test("opens nothing of the data plane: no token that ever went to it is good anywhere else", async () => {
    const sent = vi.spyOn(plane.stores.identity.tokens, "controlToken");
    const projects = createClient(flyte.project.ProjectService, plane.transport(admin.token));
    await projects.createProject({ project: { id: "seen", name: "Seen", org: testOrg } });
    await projects.listProjects({ org: testOrg });
    const seen = await Promise.all(sent.mock.results.map(({ value }) => revealed(value)));
    sent.mockRestore();
    expect(seen.length).toBeGreaterThanOrEqual(2);
    const { authority, objects, router } = plane.config.addresses;
    for (const token of seen) {
      const authorization = `Bearer ${token}`;
      expect(await atRouter(token)).toBe(Code.Unauthenticated);
      expect(await inSandbox(attempt, token)).toBe(Code.Unauthenticated);
      expect(await statusOf(`${authority}/me`, { authorization })).toBe(401);
      // S3's answer to a scheme that it does not know.
      expect(await statusOf(`${objects}/biplane?list-type=2`, { authorization })).toBe(400);
      expect(await statusOf(`${router}/audit/data/checkpoint`, { authorization })).toBe(401);
    }
    // Control: the same call with a token that opens routers.
    const authorization = `Bearer ${admin.token}`;
    expect(await statusOf(`${router}/audit/data/checkpoint`, { authorization })).toBe(200);
  });
});
