/** Signing in as people and programs do: in a real browser, by device code, by secret, at the customer's own provider. */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { flyte, identity } from "@biplane/data-wire";
import { fetchPage } from "@biplane/verify/sign-in/browser";
import {
  askForTokens,
  beginPkce,
  claimsOf,
  codeGrant,
  publicClient,
  redirect,
} from "@biplane/verify/sign-in/flows";
import { type ForeignProvider, prepareForeignProvider } from "@biplane/verify/sign-in/foreign-provider";
import { Code, type ConnectError, createClient } from "@connectrpc/connect";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  requestToken,
  startTestPlane,
  type TestClient,
  type TestPlane,
} from "../../planes/data/plane.testing.ts";
import { describeWithTools } from "../support/tools.ts";

const password = "correct horse battery";
const foreignClaims = { name: "Grace", email: "ada@example.com", groups: ["engineers", "on-call"] };

describeWithTools("the identity authority (claim IAM-1)", ["chromium"], () => {
  let foreign: ForeignProvider;
  let plane: TestPlane;
  let admin: TestClient;
  let browser: Browser;

  beforeAll(async () => {
    const provider = await prepareForeignProvider();
    plane = await startTestPlane({
      extraAuthorityPem: provider.rootPem,
      prepare: async (paths, config) => {
        const secretFile = join(paths.identity, "foreign-secret");
        mkdirSync(dirname(secretFile), { recursive: true });
        writeFileSync(secretFile, "between-the-two-of-them-only", { mode: 0o600 });
        const federation = { version: 1, name: "Foreign", issuer: provider.issuer, clientId: "biplane" };
        const settings = { ...federation, clientSecretFile: secretFile };
        writeFileSync(join(paths.identity, "federation.json"), JSON.stringify(settings));
        foreign = await provider.start({
          clientId: "biplane",
          clientSecret: "between-the-two-of-them-only",
          redirectUri: `${config.addresses.authority}/federation/callback`,
          claims: foreignClaims,
        });
      },
    });
    admin = await plane.client("Admin");
    browser = await chromium.launch({
      executablePath: "/usr/bin/chromium",
      headless: true,
      args: ["--no-sandbox", "--disable-background-networking", "--disable-component-update"],
    });
  }, 120_000);
  afterAll(async () => {
    await browser?.close();
    await plane?.close();
    await foreign?.[Symbol.asyncDispose]();
  });

  const users = () => createClient(identity.UserService, plane.transport(admin.token));
  const authority = () => plane.config.addresses.authority;
  const at = () => ({ authority: authority(), rootPem: plane.rootPem });
  /** Its root is the organization's own, which this machine's browser does not know. */
  const newContext = () => browser.newContext({ ignoreHTTPSErrors: true });

  function whoAmI(token: string) {
    return createClient(flyte.auth.IdentityService, plane.transport(token)).userInfo({});
  }
  function codeOf(work: Promise<unknown>): Promise<Code | "ok"> {
    return work.then(
      () => "ok" as const,
      (error: ConnectError) => error.code,
    );
  }

  /** Invites a person, who chooses a password in the browser. */
  async function person(email: string): Promise<string> {
    const { user, invitation } = await users().createUser({ email, name: "Ada", role: "Viewer" });
    const context = await newContext();
    const page = await context.newPage();
    await page.goto(invitation!.address);
    await page.getByLabel("Code").fill(invitation!.code);
    await page.getByLabel("New password").fill(password);
    await page.getByRole("button").click();
    await page.getByText("Your new password counts").waitFor();
    await context.close();
    return user!.subject;
  }

  async function fillPassword(page: Page, email: string): Promise<void> {
    await page.getByLabel("E-mail").fill(email);
    await page.getByLabel("Password").fill(password);
    await page.getByRole("button", { name: "Sign in" }).click();
  }

  /** PKCE with the public client; the redirect to loopback is caught where a command line would listen. */
  async function signIn(context: BrowserContext, login: (page: Page) => Promise<void>) {
    const { url, verifier } = beginPkce(at());
    const page = await context.newPage();
    let landed: string | undefined;
    await page.route(`${redirect}*`, (route) => {
      landed = route.request().url();
      return route.fulfill({ status: 200, contentType: "text/plain", body: "done" });
    });
    await page.goto(url);
    await login(page);
    await page.getByRole("button", { name: "Allow" }).click();
    await page.waitForURL(`${redirect}*`);
    const answer = new URL(landed ?? "").searchParams;
    expect(answer.get("iss")).toBe(authority());
    const tokens = await askForTokens(at(), codeGrant(answer.get("code") ?? "", verifier));
    return { access: String(tokens["access_token"]), refresh: String(tokens["refresh_token"]) };
  }

  const refreshed = (refresh: string) =>
    askForTokens(at(), { grant_type: "refresh_token", client_id: publicClient, refresh_token: refresh });

  test("a person signs in by PKCE in a browser, and stays signed in by refreshing", async () => {
    await person("ada@example.com");
    const context = await newContext();
    const tokens = await signIn(context, (page) => fillPassword(page, "ada@example.com"));
    expect(await whoAmI(tokens.access)).toMatchObject({ name: "Ada", email: "ada@example.com" });
    const next = await refreshed(tokens.refresh);
    expect(await codeOf(whoAmI(String(next["access_token"])))).toBe("ok");
    // The first refresh token once more: whoever stole it ends the whole family.
    expect((await refreshed(tokens.refresh))["error"]).toBe("invalid_grant");
    expect((await refreshed(String(next["refresh_token"])))["error"]).toBe("invalid_grant");
    expect(await codeOf(whoAmI(String(next["access_token"])))).toBe(Code.Unauthenticated);
    await context.close();
  });

  test("a device signs in by the code that it shows", async () => {
    await person("bob@example.com");
    const headers = { "content-type": "application/x-www-form-urlencoded" };
    const form = new URLSearchParams({ client_id: "biplane-cli", scope: "openid offline_access" }).toString();
    const started = await fetchPage(plane.rootPem, "POST", `${authority()}/device/auth`, headers, form);
    const device = JSON.parse(started.body) as { device_code: string; user_code: string };
    const context = await newContext();
    const page = await context.newPage();
    await page.goto(`${authority()}/device`);
    await page.getByLabel("Code that your device shows").fill("WRNG-CODE");
    await page.getByRole("button", { name: "Continue" }).click();
    await page.getByRole("alert").waitFor();
    await page.getByLabel("Code that your device shows").fill(device.user_code);
    await page.getByRole("button", { name: "Continue" }).click();
    await page.getByRole("button", { name: "Yes, continue" }).click();
    await fillPassword(page, "bob@example.com");
    await page.getByRole("button", { name: "Allow" }).click();
    await page.getByText("Go back to your device").waitFor();
    const grant = "urn:ietf:params:oauth:grant-type:device_code";
    const tokens = await askForTokens(at(), {
      grant_type: grant,
      client_id: publicClient,
      device_code: device.device_code,
    });
    expect((await whoAmI(String(tokens["access_token"]))).email).toBe("bob@example.com");
    expect((await plane.audit()).some(({ code }) => code === "DEVICE_CODE_REFUSED")).toBe(true);
    await context.close();
  });

  test("a program signs in by its secret", async () => {
    const keys = createClient(identity.ApiKeyService, plane.transport(admin.token));
    const { key, secret } = await keys.createApiKey({ name: "ci", role: "Viewer" });
    const access = await requestToken(authority(), plane.rootPem, key!.id, secret);
    expect((await whoAmI(access)).subject).toBe(key!.id);
  });

  test("a person signs in at the customer's own provider; groups come along, addresses link nobody", async () => {
    const context = await newContext();
    const tokens = await signIn(context, async (page) => {
      await page.getByRole("link", { name: "Sign in with Foreign" }).click();
      await page.locator("input[name=login]").fill("grace");
      await page.locator("input[name=password]").fill("anything");
      await page.locator("button[type=submit]").click();
      await page.locator("button[type=submit]").click();
    });
    // Nobody gave them a role yet, so the router knows them and lets them do nothing.
    expect(await codeOf(whoAmI(tokens.access))).toBe(Code.PermissionDenied);
    const { sub: subject, ...claims } = claimsOf(tokens.access);
    const { user } = await users().getUser({ user: subject });
    expect(user).toMatchObject({ federated: true, name: "Grace", groups: foreignClaims.groups });
    // Ada of this authority has the same address, and is somebody else.
    const ada = await users().getUser({ user: "ada@example.com" });
    expect(ada.user?.subject).not.toBe(subject);
    expect(claims).toMatchObject({ groups: foreignClaims.groups, kind: "user" });
    await context.close();
  });

  test("an answer that the provider did not give in this browser signs nobody in", async () => {
    const forged = `${authority()}/federation/callback?code=stolen&state=guessed&iss=${encodeURIComponent("https://evil.example")}`;
    expect((await fetchPage(plane.rootPem, "GET", forged)).status).toBe(400);
  });

  test("an answer with another issuer's name is refused in the middle of a sign-in (mix-up)", async () => {
    const context = await newContext();
    const page = await context.newPage();
    let state = "";
    page.on("request", (request) => {
      if (request.url().startsWith(`${foreign.issuer}/auth?`)) {
        state = new URL(request.url()).searchParams.get("state") ?? "";
      }
    });
    await page.goto(beginPkce(at()).url);
    await page.getByRole("link", { name: "Sign in with Foreign" }).click();
    await page.locator("input[name=login]").waitFor();
    expect(state).not.toBe("");
    const answer = new URLSearchParams({ code: "x", state, iss: "https://evil.example" });
    await page.goto(`${authority()}/federation/callback?${answer}`);
    await page.getByText("Its answer does not fit what was asked.").waitFor();
    const refused = (await plane.audit()).filter(({ reason }) => reason === "federation_refused");
    expect(refused.length).toBeGreaterThan(0);
    await context.close();
  });

  test("revoked people, sessions and keys fail at home at once; others go on", async () => {
    const subject = await person("carol@example.com");
    const context = await newContext();
    const first = await signIn(context, (page) => fillPassword(page, "carol@example.com"));
    const other = await newContext();
    const second = await signIn(other, (page) => fillPassword(page, "carol@example.com"));
    const { sessions } = await users().listSessions({ user: subject });
    expect(sessions).toHaveLength(2);
    await users().revokeSession({ user: subject, session: claimsOf(first.access).grant });
    expect(await codeOf(whoAmI(first.access))).toBe(Code.Unauthenticated);
    expect((await refreshed(first.refresh))["error"]).toBe("invalid_grant");
    expect(await codeOf(whoAmI(second.access))).toBe("ok");
    await users().revokeUser({ user: subject });
    expect(await codeOf(whoAmI(second.access))).toBe(Code.Unauthenticated);
    expect((await refreshed(second.refresh))["error"]).toBe("invalid_grant");
    await context.close();
    await other.close();
  });
});
