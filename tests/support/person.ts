/** People of an authority as tests need them: invited, with a password of their own, signed in by PKCE. */
import { createHash, randomBytes } from "node:crypto";
import { identity } from "@biplane/data-wire";
import { createClient, type Transport } from "@connectrpc/connect";
import { Browser, fetchPage } from "../../planes/data/identity/browser.testing.ts";

export interface Authority {
  readonly authority: string;
  readonly rootPem: string;
}

const password = "correct horse battery";
const redirect = "http://localhost:40124/callback";
const formType = { "content-type": "application/x-www-form-urlencoded" };

export class Person {
  readonly email: string;
  readonly subject: string;
  readonly #at: Authority;

  private constructor(at: Authority, email: string, subject: string) {
    this.#at = at;
    this.email = email;
    this.subject = subject;
  }

  /** `administrator` is who invites. */
  static async invite(at: Authority, administrator: Transport, email: string, role: string): Promise<Person> {
    const users = createClient(identity.UserService, administrator);
    const { user, invitation } = await users.createUser({ email, name: "Ada", role });
    const answer = await post(at, "/invitation", { code: invitation!.code, new_password: password });
    if (answer.status !== 200) throw new Error(`The invitation was answered with ${answer.status}.`);
    return new Person(at, email, user!.subject);
  }

  /** A sign-in of its own, in a browser that knows nothing of earlier ones; its access token. */
  async signIn(): Promise<string> {
    const { authority, rootPem } = this.#at;
    const verifier = randomBytes(32).toString("base64url");
    const query = new URLSearchParams({
      client_id: "biplane-cli",
      response_type: "code",
      scope: "openid offline_access",
      redirect_uri: redirect,
      state: "s",
      code_challenge: createHash("sha256").update(verifier).digest("base64url"),
      code_challenge_method: "S256",
    });
    const browser = new Browser(rootPem, [authority]);
    const asked = await browser.open(`${authority}/auth?${query}`);
    const last = await browser.signIn(asked, this.email, password);
    const code = new URL(last.url).searchParams.get("code") ?? "";
    const form = { grant_type: "authorization_code", code, code_verifier: verifier, redirect_uri: redirect };
    const answer = await post(this.#at, "/token", { ...form, client_id: "biplane-cli" });
    if (answer.status !== 200) throw new Error(`The code was answered with ${answer.status}.`);
    return (JSON.parse(answer.body) as { access_token: string }).access_token;
  }
}

function post({ authority, rootPem }: Authority, path: string, form: Record<string, string>) {
  return fetchPage(rootPem, "POST", `${authority}${path}`, formType, new URLSearchParams(form).toString());
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
