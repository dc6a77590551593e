/** The identity authority's web server: OpenID provider, sign-in pages, claim. It is fed connections, it opens no port. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer, type Server } from "node:https";
import { isBiplaneError } from "@biplane/base";
import type { HttpHandler } from "@biplane/kit/connect-server";
import { html, send, sendPage, serveStylesheet } from "@biplane/kit/html";
import type { Logger } from "@biplane/kit/logging";
import { strictly } from "@biplane/kit/strict-http";
import { serverTlsOptions, type TlsIdentity } from "@biplane/kit/tls";
import type Provider from "oidc-provider";
import type { AddressBudget } from "./attempts.ts";
import { type ClaimPageParts, handleClaim } from "./claim-pages.ts";
import { federationCallback } from "./federation.ts";
import { handleFederationCallback } from "./federation-pages.ts";
import { handleInteraction, type InteractionParts } from "./interactions.ts";
import { handleInvitation, handlePasswordChange, type PasswordPageParts } from "./password-pages.ts";
import { refusalStatus } from "./refusal-status.ts";

export interface AuthorityParts {
  readonly tls: TlsIdentity;
  /** `https://host:port`; requests for any other host are refused with 421. */
  readonly issuer: string;
  readonly claim: ClaimPageParts;
  readonly passwords: PasswordPageParts;
  readonly interactions: Omit<InteractionParts, "provider">;
  /** Wrong device codes. */
  readonly guesses: AddressBudget;
  /** Sign-ins that were begun: each is kept for a while, and nobody may fill the database with them. */
  readonly beginnings: AddressBudget;
  /** Makes a provider with the keys and routers of now. */
  readonly createProvider: () => Provider;
  /** Calls when there are other keys, or other routers. */
  readonly onChange: (renew: () => void) => void;
  readonly log: Logger;
}

const requestMs = 30_000;
const requestBytesMax = 64 * 1024;

export function createAuthorityServer(parts: AuthorityParts): Server {
  let current = openProvider(parts);
  // Everything that a provider remembers is in the database, so that another one goes on in its place.
  parts.onChange(() => {
    current = openProvider(parts);
  });
  const host = new URL(parts.issuer).host;
  const options = { ...serverTlsOptions({ identity: parts.tls }), requestTimeout: requestMs };
  const serve = (request: IncomingMessage, response: ServerResponse) =>
    void answer(request, response).catch((error: unknown) => fail(parts.log, error, response));
  return createServer(options, strictly(serve as HttpHandler));

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.headers.host !== host) return misdirected(response);
    if (Number(request.headers["content-length"] ?? 0) > requestBytesMax) {
      return refusePage(response, 413, "Too large", "The request is too large.");
    }
    if (serveStylesheet(request, response)) return;
    const path = (request.url ?? "").split("?")[0]!;
    if (path === "/healthz") return send(response, 200, { "content-type": "text/plain" }, "ok\n");
    if (path === "/claim") return handleClaim(parts.claim, request, response);
    if (path === "/invitation") return handleInvitation(parts.passwords, request, response);
    if (path === "/password") return handlePasswordChange(parts.passwords, request, response);
    const { federation } = parts.interactions;
    if (path === federationCallback && federation !== undefined) {
      return handleFederationCallback(federation, request, response);
    }
    if (path === "/device" && request.method === "POST" && parts.guesses.isSpent(request)) {
      const reason = "too_many_attempts";
      await parts.interactions.audit("DEVICE_CODE_REFUSED", "refused", { reason }, request);
      return refusePage(response, 429, "Sign in a device", "Too many wrong codes. Wait 15 minutes.");
    }
    if (path === "/auth" || path === "/device/auth") {
      if (parts.beginnings.isSpent(request)) {
        return refusePage(response, 429, "Sign in", "Too many sign-ins were begun. Wait 15 minutes.");
      }
      parts.beginnings.count(request);
    }
    const { provider, handleProtocol } = current;
    if (path.startsWith("/interaction/")) {
      return handleInteraction({ ...parts.interactions, provider }, request, response);
    }
    await handleProtocol(request, response);
  }
}

interface CurrentProvider {
  readonly provider: Provider;
  readonly handleProtocol: (request: IncomingMessage, response: ServerResponse) => Promise<void>;
}

function openProvider(parts: AuthorityParts): CurrentProvider {
  const provider = parts.createProvider();
  observeTokens(provider, parts);
  return { provider, handleProtocol: provider.callback() };
}

function refusePage(response: ServerResponse, status: number, title: string, why: string): void {
  sendPage(response, status, { title, body: html`<p class="error" role="alert">${why}</p>` });
}

/** RFC 9110 section 15.5.20: this connection is not for that host. */
function misdirected(response: ServerResponse): void {
  send(
    response,
    421,
    { "content-type": "text/plain", connection: "close" },
    "This server has another name.\n",
  );
}

function fail(log: Logger, error: unknown, response: ServerResponse): void {
  if (isBiplaneError(error) && !response.headersSent) {
    refusePage(response, refusalStatus(error), "That did not work", error.message);
    return;
  }
  // An interaction that has expired or belongs to another browser: a page, not a failure of ours.
  const expired = error instanceof Error && error.name === "SessionNotFound";
  if (!expired) log.error({ event: "authority_failed", error }, "a request to the authority failed");
  if (response.headersSent) {
    response.destroy();
    return;
  }
  sendPage(response, expired ? 400 : 500, {
    title: expired ? "This page has expired" : "Something failed",
    body: html`<p class="error" role="alert">Go back to where you came from and begin again.</p>`,
  });
}

function observeTokens(provider: Provider, parts: AuthorityParts): void {
  const { audit } = parts.interactions;
  const report = (error: unknown) =>
    parts.log.error({ event: "audit_failed", error }, "an identity event could not be recorded");
  provider.on("grant.success", (context) => {
    const { entities } = context.oidc;
    const subject = entities.Account?.accountId ?? context.oidc.client?.clientId ?? "";
    audit("TOKEN_ISSUED", "allowed", { subject }, context.req).catch(report);
  });
  provider.on("grant.error", (context, error) => {
    const subject = context.oidc.client?.clientId ?? "";
    // A device that is waiting for its person asks every few seconds; that is no refusal.
    if (error.error === "authorization_pending" || error.error === "slow_down") return;
    audit("TOKEN_REFUSED", "refused", { subject, reason: error.error }, context.req).catch(report);
  });
  provider.on("grant.revoked", (context) => {
    audit("GRANT_REVOKED", "allowed", {}, context.req).catch(report);
  });
  provider.on("server_error", (_context, error) => {
    parts.log.error({ event: "provider_failed", error }, "the OpenID provider failed");
  });
}
