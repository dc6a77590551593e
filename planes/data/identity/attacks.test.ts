/** Attacks on the authority: tricks with redirects, codes used twice, guessing, bodies without end (claim IAM-1). */
import { createHash, randomBytes } from "node:crypto";
import { request } from "node:https";
import type { OrgId } from "@biplane/base";
import { flyte, identity } from "@biplane/data-wire";
import { type Answer, Browser, fetchPage, hiddenFields } from "@biplane/verify/sign-in/browser";
import { Code, type ConnectError, createClient } from "@connectrpc/connect";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { startTestControlPlane, type TestControlPlane } from "../../../tests/support/control-plane.ts";
import { startTestPlane, type TestPlane } from "../plane.testing.ts";

const email = "ada@example.com";
const password = "correct horse battery";
const redirect = "http://localhost:40123/callback";
let control: TestControlPlane;
let organizations = 0;
let plane: TestPlane;

beforeAll(async () => {
  control = await startTestControlPlane();
});
afterAll(() => control?.close());

/** A new organization, whose authority has counted nothing yet. */
async function open(): Promise<void> {
  organizations += 1;
  plane = await startTestPlane({ control, org: `acme-${organizations}` as OrgId });
  await invite(email);
  // A new password ends what was signed until this second.
  await new Promise((resolve) => setTimeout(resolve, 1_000));
}

async function invite(address: string): Promise<void> {
  const { token } = await plane.client("Admin");
  const users = createClient(identity.UserService, plane.transport(token));
  const { invitation } = await users.createUser({ email: address, name: "Ada", role: "Admin" });
  const chosen = await post("/invitation", { code: invitation!.code, new_password: password });
  expect(chosen.status).toBe(200);
}

const at = (path: string) => `${plane.config.addresses.authority}${path}`;
const browser = () => new Browser(plane.rootPem, [plane.config.addresses.authority]);

function post(path: string, fields: Record<string, string>): Promise<Answer> {
  const headers = { "content-type": "application/x-www-form-urlencoded" };
  return fetchPage(plane.rootPem, "POST", at(path), headers, new URLSearchParams(fields).toString());
}

const verifier = randomBytes(32).toString("base64url");

function authorizeQuery(differences: Record<string, string | undefined> = {}): URLSearchParams {
  const honest = {
    client_id: "biplane-cli",
    response_type: "code",
    scope: "openid offline_access",
    redirect_uri: redirect,
    state: "s",
    code_challenge: createHash("sha256").update(verifier).digest("base64url"),
    code_challenge_method: "S256",
  };
  const all = Object.entries({ ...honest, ...differences });
  return new URLSearchParams(all.filter((entry): entry is [string, string] => entry[1] !== undefined));
}

async function code(): Promise<string> {
  const person = browser();
  const end = await person.signIn(await person.open(at(`/auth?${authorizeQuery()}`)), email, password);
  return new URL(end.url).searchParams.get("code")!;
}

async function token(fields: Record<string, string>): Promise<Record<string, string>> {
  const answer = await post("/token", { client_id: "biplane-cli", ...fields });
  return JSON.parse(answer.body) as Record<string, string>;
}

const redeem = (value: string, differences: Record<string, string> = {}) =>
  token({
    ...{ grant_type: "authorization_code", code: value, code_verifier: verifier, redirect_uri: redirect },
    ...differences,
  });
const refresh = (refreshToken: string | undefined) =>
  token({ grant_type: "refresh_token", refresh_token: refreshToken ?? "" });

function atRouter({ access_token }: Record<string, string>): Promise<Code | "ok"> {
  const client = createClient(flyte.auth.IdentityService, plane.transport(access_token));
  return client.userInfo({}).then(
    () => "ok" as const,
    (error: ConnectError) => error.code,
  );
}

describe("redirects", () => {
  beforeAll(open);
  afterAll(() => plane?.close());

  test.each([redirect, "http://localhost:1/callback", "http://127.0.0.1:65535/callback"])(
    "control: %s leads to a sign-in page",
    async (redirect_uri) => {
      const page = await browser().open(at(`/auth?${authorizeQuery({ redirect_uri })}`));
      expect(page.body).toContain('name="password"');
    },
  );

  test.each([
    "https://evil.example/callback",
    "http://evil.example/callback",
    "https://localhost:40123/callback",
    "http://localhost:40123/",
    "http://localhost:40123/callback/",
    "http://localhost:40123/Callback",
    "http://localhost:40123/callback/../evil",
    "http://localhost:40123/%2e%2e/callback",
    "http://localhost:40123/callback%2f..%2fevil",
    "http://localhost:40123/callback;evil",
    "http://localhost:40123/callback?next=https://evil.example",
    "http://localhost:40123/callback#evil",
    "http://ada@localhost:40123/callback",
    "http://localhost:40123@evil.example/callback",
    "http://localhost:40123\\@evil.example/callback",
    "http://localhost.evil.example:40123/callback",
    "http://127.0.0.1.evil.example/callback",
    "http://evil-localhost:40123/callback",
    "http://localhost%00.evil.example/callback",
    "http://[::ffff:127.0.0.1]:40123/callback",
    "http://2130706433:40123/callback",
    "//evil.example/callback",
    "javascript:alert(1)//http://localhost:40123/callback",
    "data:text/html,http://localhost:40123/callback",
    " http://localhost:40123/callback",
    "http://localhost:40123/callback\r\nlocation: https://evil.example",
    "",
    undefined,
  ])("%j is refused on the spot: nobody is sent anywhere", async (redirect_uri) => {
    const answer = await fetchPage(plane.rootPem, "GET", at(`/auth?${authorizeQuery({ redirect_uri })}`));
    expect(answer.status).toBe(400);
    expect(answer.headers["location"]).toBeUndefined();
    expect(answer.headers["set-cookie"]).toBeUndefined();
  });

  test("two of them are refused, and so is another client's", async () => {
    const twice = `${authorizeQuery()}&redirect_uri=${encodeURIComponent("https://evil.example")}`;
    const { router } = plane.config.addresses;
    const pages = [
      twice,
      authorizeQuery({ redirect_uri: `${router}/v2/callback` }),
      authorizeQuery({ client_id: "biplane-router" }),
      authorizeQuery({ client_id: "biplane-router", redirect_uri: `${router}:1/v2/callback` }),
    ];
    for (const query of pages) {
      const answer = await fetchPage(plane.rootPem, "GET", at(`/auth?${query}`));
      expect(answer.status).toBe(400);
      expect(answer.headers["location"]).toBeUndefined();
    }
  });

  test.each([
    { response_type: "token" },
    { response_type: "code id_token" },
    { code_challenge: undefined },
    { code_challenge_method: "plain" },
    { code_challenge_method: undefined },
    { request: "eyJhbGciOiJub25lIn0.e30." },
    { request_uri: "https://evil.example/request" },
  ])("%o gets no sign-in page, and the client is told", async (differences) => {
    const answer = await fetchPage(plane.rootPem, "GET", at(`/auth?${authorizeQuery(differences)}`));
    const target = new URL(String(answer.headers["location"]));
    expect(`${target.origin}${target.pathname}`).toBe(redirect);
    const told = new URLSearchParams(`${target.search.slice(1)}&${target.hash.slice(1)}`);
    expect(told.get("error")).toMatch(/^(unsupported|invalid|request)/);
    expect(told.get("code")).toBeNull();
  });

  test("a page of one browser's sign-in is nothing in another browser", async () => {
    const victim = browser();
    const page = await victim.open(at(`/auth?${authorizeQuery()}`));
    const stranger = await post(new URL(page.url).pathname, { email, password });
    expect(stranger.status).toBe(400);
    expect((await victim.signIn(page, email, password)).url).toContain("code=");
  });
});

describe("codes and refresh tokens", () => {
  beforeAll(open);
  afterAll(() => plane?.close());

  test("a code that comes twice ends what the first one got", async () => {
    const value = await code();
    const first = await redeem(value);
    expect(await atRouter(first)).toBe("ok");
    expect((await redeem(value))["error"]).toBe("invalid_grant");
    expect(await atRouter(first)).toBe(Code.Unauthenticated);
    expect((await refresh(first["refresh_token"]))["error"]).toBe("invalid_grant");
  });

  test("a code is good for its own client, address and verifier only", async () => {
    const wrong: Record<string, string>[] = [
      { redirect_uri: "http://localhost:40124/callback" },
      { code_verifier: randomBytes(32).toString("base64url") },
      { client_id: "biplane-router" },
    ];
    for (const differences of wrong) {
      expect((await redeem(await code(), differences))["error"]).toBe("invalid_grant");
    }
  });

  test("a refresh token that comes eight times at once gives one sign-in at most, and that one is ended", async () => {
    const first = await redeem(await code());
    const answers = await Promise.all(Array.from({ length: 8 }, () => refresh(first["refresh_token"])));
    const given = answers.filter((answer) => answer["access_token"] !== undefined);
    expect(given.length).toBeLessThanOrEqual(1);
    for (const one of [first, ...given]) {
      expect(await atRouter(one)).toBe(Code.Unauthenticated);
      expect((await refresh(one["refresh_token"]))["error"]).toBe("invalid_grant");
    }
  });

  test("a code that comes eight times at once gives one sign-in at most, and that one is ended", async () => {
    const value = await code();
    const answers = await Promise.all(Array.from({ length: 8 }, () => redeem(value)));
    const given = answers.filter((answer) => answer["access_token"] !== undefined);
    expect(given.length).toBeLessThanOrEqual(1);
    for (const one of given) expect(await atRouter(one)).toBe(Code.Unauthenticated);
  });

  test("control: one after the other each refresh token gives the next one", async () => {
    let current = await redeem(await code());
    for (let count = 0; count < 3; count += 1) current = await refresh(current["refresh_token"]);
    expect(await atRouter(current)).toBe("ok");
  });
});

describe("guessing", () => {
  beforeEach(open);
  afterEach(() => plane?.close());

  async function reasons(reason: string): Promise<number> {
    return (await plane.audit()).filter((record) => record.reason === reason).length;
  }

  test("a password is guessed ten times; then the right one does not help either, on any page", async () => {
    await invite("bob@example.com");
    const guesser = browser();
    const { url } = await guesser.open(at(`/auth?${authorizeQuery()}`));
    for (let count = 0; count < 10; count += 1) {
      expect((await guesser.submit(url, { email, password: `guess number ${count}` })).status).toBe(401);
    }
    expect((await guesser.submit(url, { email, password })).status).toBe(429);
    const change = { email, password, new_password: "another horse battery" };
    expect((await post("/password", change)).status).toBe(429);
    expect(await reasons("wrong_password")).toBe(10);
    expect(await reasons("too_many_attempts")).toBe(2);
    // Another person at the same address is not hindered by it.
    const other = browser();
    const start = await other.open(at(`/auth?${authorizeQuery()}`));
    expect((await other.signIn(start, "bob@example.com", password)).url).toContain("code=");
  });

  test("an address that guesses for thirty names is stopped for every name", async () => {
    const change = { password: "guessed guessed", new_password: "another horse battery" };
    for (let count = 0; count < 30; count += 1) {
      expect((await post("/password", { ...change, email: `person-${count}@example.com` })).status).toBe(401);
    }
    expect((await post("/password", { ...change, email, password })).status).toBe(429);
  });

  test("an invitation is guessed twenty times; then the right code does not help either", async () => {
    const { token: admin } = await plane.client("Admin");
    const users = createClient(identity.UserService, plane.transport(admin));
    const { invitation } = await users.createUser({ email: "eve@example.com", name: "Eve", role: "" });
    const guess = (value: string) => post("/invitation", { code: value, new_password: password });
    for (let count = 0; count < 20; count += 1) expect((await guess(`guess-${count}`)).status).toBe(403);
    expect((await guess(invitation!.code)).status).toBe(429);
    expect(await reasons("too_many_attempts")).toBe(1);
  });

  test("a claim is guessed twenty times; then the right one does not help either", async () => {
    const claim = (await plane.stores.identity.claims.create()).reveal();
    const guess = async (value: string) => {
      const body = JSON.stringify({ claim: value, client: { name: "stranger" } });
      const headers = { "content-type": "application/json" };
      return (await fetchPage(plane.rootPem, "POST", at("/claim"), headers, body)).status;
    };
    for (let count = 0; count < 20; count += 1) expect(await guess(`guess-${count}`)).toBe(403);
    expect(await guess(claim)).toBe(429);
  });

  test("a device's code is guessed twenty times; then the right one does not help either", async () => {
    const started = await post("/device/auth", { client_id: "biplane-cli", scope: "openid" });
    const { user_code } = JSON.parse(started.body) as { user_code: string };
    const guesser = browser();
    let page = await guesser.open(at("/device"));
    const guess = (value: string) =>
      guesser.submit(at("/device"), { ...hiddenFields(page.body), user_code: value });
    for (let count = 0; count < 20; count += 1) {
      page = await guess(`BCDF-${String(count).padStart(4, "0")}`);
      expect(page.body).toContain("The code does not work");
    }
    const last = await guess(user_code);
    expect(last.status).toBe(429);
    expect(last.body).not.toContain(user_code);
    expect(await reasons("too_many_attempts")).toBe(1);
  });

  test("control: the right code after nineteen wrong ones is taken", async () => {
    const started = await post("/device/auth", { client_id: "biplane-cli", scope: "openid" });
    const { user_code } = JSON.parse(started.body) as { user_code: string };
    const person = browser();
    let page = await person.open(at("/device"));
    for (let count = 0; count < 19; count += 1) {
      page = await person.submit(at("/device"), { ...hiddenFields(page.body), user_code: "BCDF-GHJK" });
    }
    page = await person.submit(at("/device"), { ...hiddenFields(page.body), user_code });
    expect(page.body).toContain("Is this your device?");
  });

  test("an address begins a thousand sign-ins, and no more until they are forgotten", async () => {
    const begin = () => fetchPage(plane.rootPem, "GET", at(`/auth?${authorizeQuery()}`));
    const first = await Promise.all(Array.from({ length: 50 }, begin));
    expect(first.every(({ status }) => status === 303)).toBe(true);
    for (let count = 0; count < 19; count += 1) await Promise.all(Array.from({ length: 50 }, begin));
    expect((await begin()).status).toBe(429);
    expect((await post("/device/auth", { client_id: "biplane-cli", scope: "openid" })).status).toBe(429);
  });
});

describe("bodies without end", () => {
  beforeAll(open);
  afterAll(() => plane?.close());
  const offeredBytes = 64 * 1024 * 1024;

  /** Sends without saying how much, as fast as it is taken, until somebody answers or hangs up. */
  function pour(path: string, type: string): Promise<{ status: number; sentBytes: number }> {
    return new Promise((resolve) => {
      let [status, sentBytes] = [0, 0];
      const headers = { "content-type": type, "transfer-encoding": "chunked" };
      const outgoing = request(at(path), { method: "POST", headers, ca: plane.rootPem, agent: false });
      outgoing.on("response", (response) => {
        status = response.statusCode!;
        response.resume();
      });
      outgoing.on("error", () => {});
      outgoing.on("close", () => resolve({ status, sentBytes }));
      const chunk = Buffer.alloc(64 * 1024, "a=b&");
      const more = () => {
        while (!outgoing.destroyed && sentBytes < offeredBytes) {
          sentBytes += chunk.length;
          if (!outgoing.write(chunk)) return outgoing.once("drain", more);
        }
        return outgoing.end();
      };
      more();
    });
  }

  test.each([
    ["/claim", "application/json"],
    ["/claim", "application/x-www-form-urlencoded"],
    ["/invitation", "application/x-www-form-urlencoded"],
    ["/password", "application/x-www-form-urlencoded"],
    ["/token", "application/x-www-form-urlencoded"],
    ["/device/auth", "application/x-www-form-urlencoded"],
    ["/device", "application/x-www-form-urlencoded"],
    ["/revocation", "application/x-www-form-urlencoded"],
    ["/nowhere", "application/octet-stream"],
  ])("at %s as %s: what is taken is bounded", async (path, type) => {
    const { status, sentBytes } = await pour(path, type);
    expect(status).toBeLessThan(500);
    // What lies in the sockets' buffers counts too.
    expect(sentBytes).toBeLessThan(16 * 1024 * 1024);
  });
});
