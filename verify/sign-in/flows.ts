/** How people's programs get tokens of an authority: by PKCE in a browser, by device code, by refreshing (claim IAM-1). */
import { createHash, randomBytes } from "node:crypto";
import { Browser, fetchPage, hiddenFields, type Page } from "./browser.ts";

export interface Authority {
  readonly authority: string;
  readonly rootPem: string;
}

export interface Tokens {
  readonly access: string;
  readonly refresh: string;
}

/** Fills in what the pages ask, from the sign-in page on. */
export type Login = (browser: Browser, page: Page) => Promise<Page>;

export const publicClient = "biplane-cli";
const scope = "openid offline_access";
/** Where a command line would listen. */
export const redirect = "http://localhost:40124/callback";
const formType = { "content-type": "application/x-www-form-urlencoded" };

/** What PKCE begins with, and what it ends with. */
export function beginPkce({ authority }: Authority): { url: string; verifier: string } {
  const verifier = randomBytes(32).toString("base64url");
  const query = new URLSearchParams({
    client_id: publicClient,
    response_type: "code",
    scope,
    redirect_uri: redirect,
    state: "s",
    code_challenge: createHash("sha256").update(verifier).digest("base64url"),
    code_challenge_method: "S256",
  });
  return { url: `${authority}/auth?${query}`, verifier };
}

export function codeGrant(code: string, verifier: string): Record<string, string> {
  const form = { grant_type: "authorization_code", code, code_verifier: verifier, redirect_uri: redirect };
  return { ...form, client_id: publicClient };
}

/** A sign-in of its own, in a browser that knows nothing of earlier ones. */
export async function authorizeByPkce(
  at: Authority,
  login: Login,
  browser = new Browser(at.rootPem, [at.authority]),
): Promise<{ code: string; verifier: string }> {
  const { url, verifier } = beginPkce(at);
  const last = await login(browser, await browser.open(url));
  const code = new URL(last.url).searchParams.get("code");
  if (code === null) throw new Error(`The sign-in ended at ${last.url} with ${last.status}.`);
  return { code, verifier };
}

export async function signInByPkce(at: Authority, login: Login, browser?: Browser): Promise<Tokens> {
  const { code, verifier } = await authorizeByPkce(at, login, browser);
  return tokensIn(await askForTokens(at, codeGrant(code, verifier)));
}

/** The device shows a code, which the person types in a browser elsewhere. */
export async function signInByDevice(at: Authority, login: Login): Promise<Tokens> {
  const begun = await post(at, "/device/auth", { client_id: publicClient, scope });
  const device = JSON.parse(begun) as { device_code: string; user_code: string };
  const browser = new Browser(at.rootPem, [at.authority]);
  const page = await browser.open(`${at.authority}/device`);
  const code = { user_code: device.user_code };
  const entered = await browser.submit(page.url, { ...hiddenFields(page.body), ...code });
  const confirmed = await browser.submit(page.url, { ...hiddenFields(entered.body), ...code });
  await login(browser, confirmed);
  const grant = "urn:ietf:params:oauth:grant-type:device_code";
  const form = { grant_type: grant, client_id: publicClient, device_code: device.device_code };
  return tokensIn(await askForTokens(at, form));
}

export async function refresh(at: Authority, token: string): Promise<Tokens> {
  const form = { grant_type: "refresh_token", client_id: publicClient, refresh_token: token };
  return tokensIn(await askForTokens(at, form));
}

/** What the token endpoint says, errors too. */
export async function askForTokens(
  at: Authority,
  form: Record<string, string>,
): Promise<Record<string, unknown>> {
  return JSON.parse(await post(at, "/token", form)) as Record<string, unknown>;
}

function tokensIn(answer: Record<string, unknown>): Tokens {
  const { access_token: access, refresh_token: refreshed, error } = answer;
  if (typeof access !== "string") throw new Error(`The authority gave no token: ${error}.`);
  return { access, refresh: String(refreshed) };
}

async function post(
  { authority, rootPem }: Authority,
  path: string,
  form: Record<string, string>,
): Promise<string> {
  const body = new URLSearchParams(form).toString();
  return (await fetchPage(rootPem, "POST", `${authority}${path}`, formType, body)).body;
}

export interface TokenClaims {
  readonly sub: string;
  readonly kind: "user" | "service";
  readonly jti: string;
  readonly iat: number;
  readonly grant?: string;
}

export function claimsOf(token: string): TokenClaims {
  return JSON.parse(Buffer.from(token.split(".")[1]!, "base64url").toString()) as TokenClaims;
}
