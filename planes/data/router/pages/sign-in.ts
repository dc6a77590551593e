/**
 * Signs a browser in at the organization's authority (PKCE) and remembers it for as long as its token lasts. The token
 * stays in this process; the browser gets a random name for it.
 */
import { createHash, randomBytes } from "node:crypto";
import { BiplaneError, minute } from "@biplane/base";
import type { Clock } from "@biplane/kit/clock";
import type { HttpRequest, HttpResponse } from "@biplane/kit/connect-server";
import { newKey, openRecord, sealRecord } from "@biplane/kit/crypto";
import { sendRedirect } from "@biplane/kit/html";
import type { ExchangeCode, SignedIn } from "../../identity/code-exchange.ts";
import { routerClientId } from "../../identity/provider.ts";
import { clearCookie, readCookie, sessionCookie, setCookie, signInCookie } from "./cookies.ts";

export const callbackPath = "/v2/callback";
const signInMs = 10 * minute;
const sessionsMax = 10_000;
const place = "sign-in under way";

interface Pending {
  readonly state: string;
  readonly verifier: string;
  readonly path: string;
  readonly expiresAtMs: number;
}

export interface SignInParts {
  readonly authority: () => string;
  readonly router: string;
  readonly exchange: ExchangeCode;
  readonly clock: Clock;
}

export class PageSessions {
  readonly #parts: SignInParts;
  /** What is under way lives in the browser's cookie, sealed, so that nobody can fill the memory with it. */
  readonly #key = newKey();
  readonly #sessions = new Map<string, { readonly signedIn: SignedIn; readonly expiresAtMs: number }>();

  constructor(parts: SignInParts) {
    this.#parts = parts;
  }

  /** What an API client would send, or undefined where nobody is signed in. */
  authorization(request: HttpRequest): string | undefined {
    const name = readCookie(request, sessionCookie);
    const session = name === undefined ? undefined : this.#sessions.get(hashOf(name));
    if (session === undefined || session.expiresAtMs <= this.#parts.clock.now()) return undefined;
    return `Bearer ${session.signedIn.accessToken.reveal()}`;
  }

  /** Sends the browser to the authority; `path` is where it comes back to. */
  begin(response: HttpResponse, path: string): void {
    const verifier = randomBytes(32).toString("base64url");
    const state = randomBytes(16).toString("base64url");
    const expiresAtMs = this.#parts.clock.now() + signInMs;
    const cookie = this.#seal({ state, verifier, path, expiresAtMs });
    const query = new URLSearchParams({
      client_id: routerClientId,
      response_type: "code",
      scope: "openid profile email",
      redirect_uri: `${this.#parts.router}${callbackPath}`,
      state,
      code_challenge: createHash("sha256").update(verifier).digest("base64url"),
      code_challenge_method: "S256",
    });
    sendRedirect(response, `${this.#parts.authority()}/auth?${query}`, {
      "set-cookie": setCookie(signInCookie, cookie, signInMs),
    });
  }

  /** The browser is back with a code. */
  async finish(request: HttpRequest, response: HttpResponse): Promise<void> {
    const query = new URL(request.url ?? "", this.#parts.router).searchParams;
    const pending = this.#open(readCookie(request, signInCookie));
    const code = query.get("code");
    // Without the comparisons a stranger could sign a browser in as somebody else, or hand over another authority's code.
    if (pending === undefined || code === null || query.get("state") !== pending.state) throw notBegun();
    if (query.get("iss") !== this.#parts.authority()) throw notBegun();
    const signedIn = await this.#parts.exchange({
      code,
      verifier: pending.verifier,
      clientId: routerClientId,
      redirectUri: `${this.#parts.router}${callbackPath}`,
    });
    const name = this.#remember(signedIn);
    sendRedirect(response, pending.path, {
      "set-cookie": setCookie(sessionCookie, name, signedIn.lifetimeMs),
    });
  }

  forget(request: HttpRequest): Record<string, string> {
    const name = readCookie(request, sessionCookie);
    if (name !== undefined) this.#sessions.delete(hashOf(name));
    return { "set-cookie": clearCookie(sessionCookie) };
  }

  #remember(signedIn: SignedIn): string {
    const now = this.#parts.clock.now();
    for (const [key, session] of this.#sessions) {
      if (session.expiresAtMs > now && this.#sessions.size < sessionsMax) break;
      this.#sessions.delete(key);
    }
    const name = randomBytes(32).toString("base64url");
    this.#sessions.set(hashOf(name), { signedIn, expiresAtMs: now + signedIn.lifetimeMs });
    return name;
  }

  #seal(pending: Pending): string {
    const bytes = new TextEncoder().encode(JSON.stringify(pending));
    return Buffer.from(sealRecord(this.#key, place, bytes)).toString("base64url");
  }

  #open(cookie: string | undefined): Pending | undefined {
    if (cookie === undefined) return undefined;
    try {
      const bytes = openRecord(this.#key, place, new Uint8Array(Buffer.from(cookie, "base64url")));
      const pending = JSON.parse(new TextDecoder().decode(bytes)) as Pending;
      return pending.expiresAtMs > this.#parts.clock.now() ? pending : undefined;
    } catch {
      // Made by an earlier process, or by somebody else.
      return undefined;
    }
  }
}

function hashOf(name: string): string {
  return createHash("sha256").update(name).digest("base64url");
}

function notBegun(): BiplaneError {
  return new BiplaneError("invalid_argument", {
    what: "This sign-in was not begun in this browser, or too long ago.",
    next: "Open the page again.",
  });
}
