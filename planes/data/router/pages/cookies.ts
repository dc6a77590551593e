/** Cookies of the router's pages: for this host alone, over TLS alone, out of reach of scripts. */
import type { HttpRequest } from "@biplane/kit/connect-server";

/** The prefix makes browsers refuse them from other hosts. Names differ from the authority's: cookies ignore ports. */
export const sessionCookie = "__Host-biplane-pages";
export const signInCookie = "__Host-biplane-sign-in";

const attributes = "Path=/; HttpOnly; Secure; SameSite=Lax";

export function setCookie(name: string, value: string, lifetimeMs: number): string {
  return `${name}=${value}; Max-Age=${Math.floor(lifetimeMs / 1_000)}; ${attributes}`;
}

export function clearCookie(name: string): string {
  return `${name}=; Max-Age=0; ${attributes}`;
}

export function readCookie(request: HttpRequest, name: string): string | undefined {
  for (const part of (request.headers.cookie ?? "").split(";")) {
    const [key, ...value] = part.trim().split("=");
    if (key === name) return value.join("=");
  }
  return undefined;
}
