import { createHash, randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import type { Server } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type ClusterId, type OrgId, Secret } from "@biplane/base";
import { authorityUri } from "@biplane/identity";
import type { AuditInput } from "@biplane/kit/audit-log";
import { createRootAuthority, issueCertificate } from "@biplane/kit/certificates";
import { systemClock } from "@biplane/kit/clock";
import { newKey } from "@biplane/kit/crypto";
import { type Database, openDatabase } from "@biplane/kit/database";
import { createLogger } from "@biplane/kit/logging";
import { createIntermediate } from "@biplane/verify/hostile-control-plane/intermediate";
import { type Answer, Browser, fetchPage, hiddenFields } from "@biplane/verify/sign-in/browser";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openDataAudit } from "../audit/log.ts";
import { dataMigrations } from "../store/migrations.ts";
import type { DataSchema } from "../store/schema.ts";
import { OwnCertificates } from "./certificates.ts";
import { type Identity, openIdentity } from "./index.ts";

const org = "acme" as OrgId;
const email = "ada@example.com";
const password = "correct horse battery";
const publicEntrance = { kind: "public", address: "" } as const;
let folder: string;
let database: Database<DataSchema>;
let audit: Awaited<ReturnType<typeof openDataAudit>>;
let identity: Identity;
let server: Server;
let issuer: string;
let rootPem: string;
let browser: Browser;
/** What went by the recorder that strangers can't fill the log through. */
const bounded: AuditInput[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "authority-"));
  const systemKey = newKey();
  database = await openDatabase<DataSchema>({ folder: join(folder, "database") }, dataMigrations);
  audit = await openDataAudit({
    folder: join(folder, "audit"),
    systemKey,
    org,
    cluster: "home" as ClusterId,
    log: createLogger({ component: "test", level: "warn" }),
  });
  const root = await createRootAuthority("acme", 3_600_000);
  rootPem = root.certificatePem;
  const port = await freePort();
  issuer = `https://localhost:${port}`;
  identity = await openIdentity({
    isHome: true,
    region: "local",
    readRoot: () => Promise.reject(new Error("This test signs no intermediate.")),
    objects: "https://localhost:1",
    org,
    cluster: "home" as ClusterId,
    folder: join(folder, "identity"),
    systemKey,
    database,
    audit,
    refusals: {
      record: async (refusal) => {
        bounded.push(refusal);
        await audit.record(refusal);
      },
    },
    certificates: new OwnCertificates(join(folder, "certificates.sealed"), systemKey, {
      root,
      intermediate: await createIntermediate(root, "home", 3_600_000, [authorityUri(org)]),
    }),
    documentMs: 900_000,
    authority: issuer,
    router: "https://localhost:1",
    addressFrom: "peer",
    clock: systemClock,
    log: createLogger({ component: "test", level: "warn" }),
  });
  const tls = await issueCertificate(root, {
    commonName: "authority",
    hosts: ["localhost"],
    uses: ["server"],
    lifetimeMs: 3_600_000,
  });
  server = identity.createServer(tls);
  await new Promise<void>((resolve) => server.listen(port, "localhost", resolve));
  browser = new Browser(rootPem, [issuer]);
  const claim = await identity.claims.create();
  const person = { email, name: "Ada", password: new Secret(password) };
  await identity.claims.redeem({ claim, person });
  await identity.policy.reload();
});

afterAll(async () => {
  server?.close();
  await audit?.close();
  await identity?.documents.close();
  await database?.close();
  await rm(folder, { recursive: true, force: true });
});

describe("the one-time claim", () => {
  test("makes a machine client an administrator, once", async () => {
    const claim = await identity.claims.create();
    const body = JSON.stringify({ claim: claim.reveal(), client: { name: "bootstrap" } });
    const first = await call("POST", "/claim", { "content-type": "application/json" }, body);
    expect(first.status).toBe(200);
    const { client } = JSON.parse(first.body) as { client: { client_id: string; client_secret: string } };
    expect(identity.policy.bundle?.assignments).toContainEqual({
      id: expect.any(String),
      principal: { kind: "subject", id: client.client_id },
      role: "Admin",
      scope: {},
    });
    const second = await call("POST", "/claim", { "content-type": "application/json" }, body);
    expect(second.status).toBe(403);
    expect(second.body).not.toContain("client_secret");
  });

  test("is refused when wrong, and the refusal is on record", async () => {
    const body = JSON.stringify({ claim: "wrong", client: { name: "bootstrap" } });
    const answer = await call("POST", "/claim", { "content-type": "application/json" }, body);
    expect(answer.status).toBe(403);
    const codes: string[] = [];
    for await (const record of audit.readRecords()) codes.push(record.code);
    expect(codes).toContain("CLAIM_REFUSED");
  });

  test("is not used up by a password that is too short", async () => {
    const claim = await identity.claims.create();
    const user = { email: "b@example.com", name: "B", password: "short" };
    const headers = { "content-type": "application/json" };
    const refused = await call("POST", "/claim", headers, JSON.stringify({ claim: claim.reveal(), user }));
    expect(refused.status).toBe(400);
    expect(JSON.parse(refused.body).message).toContain("12");
    const better = { ...user, password: "long enough, this" };
    const taken = await call(
      "POST",
      "/claim",
      headers,
      JSON.stringify({ claim: claim.reveal(), user: better }),
    );
    expect(taken.status).toBe(200);
  });

  test("has a page under a strict content security policy", async () => {
    const page = await call("GET", "/claim");
    expect(page.status).toBe(200);
    expect(page.headers["content-security-policy"]).toContain("default-src 'none'");
    expect(page.body).toContain('<label for="claim">');
    expect(page.body).not.toContain("<script");
  });
});

describe("client credentials", () => {
  test("give a token that opens the router (claim IAM-1)", async () => {
    const client = await machineClient();
    const answer = await token({ grant_type: "client_credentials", audience: "" }, basic(client));
    expect(answer.status).toBe(200);
    expect(answer.json).toMatchObject({ token_type: "Bearer", expires_in: 900 });
    const principal = await identity.authenticator.authenticate(
      `Bearer ${answer.json["access_token"]}`,
      publicEntrance,
    );
    expect(principal).toMatchObject({ subject: client.id, kind: "service", org: "acme" });
  });

  test("tolerate the scopes that stock Flyte clients send", async () => {
    const client = await machineClient();
    const form = { grant_type: "client_credentials", scope: "openid offline_access" };
    expect((await token(form, basic(client))).status).toBe(200);
  });

  test("get a token that is good while signing keys change under the request (claim IAM-1)", async () => {
    const client = await machineClient();
    // Their request waits for the second after the denial, which is long enough to change keys.
    await sleep(1_000 - (Date.now() % 1_000));
    await identity.policy.change((transaction) => identity.revocations.endTokens(transaction, client.id));
    const asked = token({ grant_type: "client_credentials" }, basic(client));
    await sleep(300);
    await identity.keys.rotate();
    const answer = await asked;
    expect(answer.json).toMatchObject({ token_type: "Bearer" });
    expect(await authenticate(answer.json)).toMatchObject({ kind: "service", subject: client.id });
  });

  test("are refused with a wrong secret", async () => {
    const client = await machineClient();
    const answer = await token({ grant_type: "client_credentials" }, basic({ ...client, secret: "no" }));
    expect(answer.status).toBe(401);
    expect(answer.json["error"]).toBe("invalid_client");
  });

  test("can't fill the log in the name of a client that they know the name of", async () => {
    const client = await machineClient();
    await token({ grant_type: "client_credentials" }, basic({ ...client, secret: "no" }));
    await token({ grant_type: "refresh_token", refresh_token: "no", client_id: "biplane-cli" });
    await token({ grant_type: "client_credentials" }, basic(client));
    const about = (code: string) => bounded.filter((one) => one.code === code).map(({ subject }) => subject);
    expect(about("TOKEN_REFUSED").slice(-2)).toEqual([client.id, "biplane-cli"]);
    // The control: what was given to whoever has the secret is on record each time.
    expect(about("TOKEN_ISSUED")).toEqual([]);
  });
});

describe("people", () => {
  test("sign in with PKCE on any loopback port, and refresh with rotation", async () => {
    const { code, verifier } = await authorize();
    const form = { grant_type: "authorization_code", code, code_verifier: verifier, redirect_uri: redirect };
    const answer = await token({ ...form, client_id: "biplane-cli" });
    expect(answer.json).toMatchObject({ token_type: "Bearer", expires_in: 900 });
    const principal = await authenticate(answer.json);
    expect(principal).toMatchObject({ kind: "user", name: "Ada", email: "ada@example.com" });

    const refresh = { grant_type: "refresh_token", client_id: "biplane-cli" };
    const renewed = await token({ ...refresh, refresh_token: String(answer.json["refresh_token"]) });
    expect(renewed.status).toBe(200);
    await authenticate(renewed.json);
    // The old one again: somebody else may have it, so everything of this sign-in stops working.
    const stolen = await token({ ...refresh, refresh_token: String(answer.json["refresh_token"]) });
    expect(stolen.json["error"]).toBe("invalid_grant");
    await expect(authenticate(renewed.json)).rejects.toMatchObject({ code: "unauthenticated" });
  });

  test("get nothing without the code verifier", async () => {
    const { code } = await authorize();
    const form = { grant_type: "authorization_code", code, redirect_uri: redirect, client_id: "biplane-cli" };
    expect((await token({ ...form, code_verifier: randomBytes(32).toString("base64url") })).status).toBe(400);
  });

  test("are not sent to redirect addresses that nobody registered", async () => {
    const answer = await fetchPage(rootPem, "GET", authorizeUrl("https://evil.example/callback").url);
    expect(answer.status).toBe(400);
    expect(answer.headers.location).toBeUndefined();
  });

  test("see an error, not a sign-in, for a wrong password", async () => {
    const stranger = new Browser(rootPem, [issuer]);
    const start = await stranger.open(authorizeUrl(redirect).url);
    const wrong = await stranger.submit(start.url, { email: "ada@example.com", password: "nope nope nope" });
    expect(wrong.status).toBe(401);
    expect(wrong.body).toContain("The e-mail address or the password is wrong.");
  });

  test("sign a device in with its code", async () => {
    const started = await call(
      "POST",
      "/device/auth",
      { "content-type": "application/x-www-form-urlencoded" },
      new URLSearchParams({
        client_id: "biplane-cli",
        scope: "openid offline_access",
        audience: "x",
      }).toString(),
    );
    const device = JSON.parse(started.body) as Record<string, string>;
    // Stock Flyte clients need it, though RFC 8628 calls it optional.
    expect(device["interval"]).toBe(5);
    const poll = {
      grant_type: "urn:ietf:params:oauth:grant-type:device_code",
      device_code: device["device_code"]!,
      client_id: "biplane-cli",
    };
    expect((await token(poll)).json["error"]).toBe("authorization_pending");
    await approveDevice(device["user_code"]!);
    const answer = await token(poll);
    expect(answer.json).toMatchObject({ expires_in: 900 });
    expect((await authenticate(answer.json)).kind).toBe("user");
  });
});

test("a request for another host is answered 421", async () => {
  expect((await call("GET", "/claim", { host: "evil.example" })).status).toBe(421);
});

test("nothing that the provider stores can be read or matched without the key", async () => {
  const rows = await database.kysely.selectFrom("identity_oidc").selectAll().execute();
  expect(rows.length).toBeGreaterThan(0);
  const everything = JSON.stringify(
    rows.map((row) => ({ ...row, payload: Buffer.from(row.payload).toString("latin1") })),
  );
  expect(everything).not.toContain("biplane-cli");
  expect(everything).not.toContain("accountId");
});

async function authenticate(json: Record<string, unknown>) {
  return identity.authenticator.authenticate(`Bearer ${json["access_token"]}`, publicEntrance);
}

async function machineClient(): Promise<{ id: string; secret: string }> {
  const claim = await identity.claims.create();
  const { client } = await identity.claims.redeem({ claim, clientName: "machine" });
  return { id: client!.clientId, secret: client!.clientSecret.reveal() };
}

function basic(client: { id: string; secret: string }): string {
  return `Basic ${Buffer.from(`${client.id}:${client.secret}`).toString("base64")}`;
}

async function token(form: Record<string, string>, authorization?: string) {
  const headers = {
    "content-type": "application/x-www-form-urlencoded",
    ...(authorization === undefined ? {} : { authorization }),
  };
  const answer = await call("POST", "/token", headers, new URLSearchParams(form).toString());
  return { status: answer.status, json: JSON.parse(answer.body) as Record<string, unknown> };
}

function call(
  method: string,
  path: string,
  headers: Record<string, string> = {},
  body?: string,
): Promise<Answer> {
  return fetchPage(rootPem, method, new URL(path, issuer).href, headers, body);
}

const redirect = "http://localhost:40123/callback";

function authorizeUrl(redirectUri: string): { verifier: string; url: string } {
  const verifier = randomBytes(32).toString("base64url");
  const query = new URLSearchParams({
    client_id: "biplane-cli",
    response_type: "code",
    scope: "openid offline_access",
    redirect_uri: redirectUri,
    state: "s",
    audience: "anything",
    code_challenge: createHash("sha256").update(verifier).digest("base64url"),
    code_challenge_method: "S256",
  });
  return { verifier, url: `${issuer}/auth?${query}` };
}

async function authorize(): Promise<{ code: string; verifier: string }> {
  const { verifier, url } = authorizeUrl(redirect);
  const end = await browser.signIn(await browser.open(url), email, password);
  const code = new URL(end.url).searchParams.get("code");
  expect(code).not.toBeNull();
  return { code: code!, verifier };
}

async function approveDevice(userCode: string): Promise<void> {
  const page = await browser.open(`${issuer}/device`);
  const entered = await browser.submit(page.url, { ...hiddenFields(page.body), user_code: userCode });
  const agreed = await browser.submit(`${issuer}/device`, {
    ...hiddenFields(entered.body),
    user_code: userCode,
  });
  expect((await browser.signIn(agreed, email, password)).body).toContain("You are signed in");
}

async function freePort(): Promise<number> {
  const { createServer } = await import("node:net");
  const probe = createServer();
  await new Promise<void>((resolve) => probe.listen(0, "localhost", resolve));
  const { port } = probe.address() as AddressInfo;
  await new Promise((resolve) => probe.close(resolve));
  return port;
}
