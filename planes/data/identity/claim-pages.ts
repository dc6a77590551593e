/** `/claim`: where the first administrator shows the one-time claim, by a page or by JSON. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { BiplaneError, isBiplaneError, Secret } from "@biplane/base";
import { type Html, html, sendJson, sendPage } from "@biplane/kit/html";
import { readForm, readJson } from "@biplane/kit/http-body";
import { z } from "zod";
import type { AddressBudget } from "./attempts.ts";
import type { IdentityAudit } from "./audit.ts";
import type { ClaimRequest, ClaimResult, Claims } from "./claims.ts";
import { refusalStatus } from "./refusal-status.ts";
import { passwordCharactersMin } from "./subject-rules.ts";

const bodyBytesMax = 8_192;
const jsonRequest = z.object({
  claim: z.string().min(1).max(200),
  user: z.object({ email: z.string(), name: z.string().default(""), password: z.string() }).optional(),
  client: z.object({ name: z.string().min(1).max(255) }).optional(),
});

export interface ClaimPageParts {
  readonly org: string;
  readonly claims: Claims;
  /** Wrong claims. */
  readonly guesses: AddressBudget;
  readonly audit: IdentityAudit;
  /** After the redemption: the new assignments count. */
  readonly onRedeemed: () => Promise<void>;
}

export async function handleClaim(
  parts: ClaimPageParts,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  if (request.method === "GET")
    return sendPage(response, 200, { title: "First administrator", body: form() });
  if (request.method !== "POST") return sendJson(response, 405, { error: "invalid_request" });
  const isJson = (request.headers["content-type"] ?? "").startsWith("application/json");
  try {
    const claim = isJson ? await readJsonClaim(request) : await readFormClaim(request);
    const result = await parts.guesses.attempt(request, "claim_refused", () => parts.claims.redeem(claim));
    const subject = result.person?.subject ?? result.client?.clientId ?? "";
    await parts.audit("CLAIM_REDEEMED", "allowed", { subject }, request);
    await parts.onRedeemed();
    if (isJson) return sendJson(response, 200, describeResult(parts.org, result));
    sendPage(response, 200, {
      title: "Done",
      body: html`<p>You are this organization's administrator. Sign in with <code>biplane login</code>.</p>`,
    });
  } catch (error) {
    if (!isBiplaneError(error)) throw error;
    await parts.audit("CLAIM_REFUSED", "refused", { reason: error.reason ?? error.code }, request);
    refuse(error, isJson, response);
  }
}

function refuse(error: BiplaneError, isJson: boolean, response: ServerResponse): void {
  const status = refusalStatus(error);
  if (isJson) {
    const name = status === 403 ? "claim_refused" : "invalid_request";
    sendJson(response, status, { error: name, message: error.message });
    return;
  }
  sendPage(response, status, { title: "First administrator", body: form(error.message) });
}

async function readJsonClaim(request: IncomingMessage): Promise<ClaimRequest> {
  const parsed = jsonRequest.safeParse(await readJson(request, bodyBytesMax));
  if (!parsed.success) {
    throw new BiplaneError("invalid_argument", {
      what: "The claim's request has another shape.",
      why: z.prettifyError(parsed.error),
    });
  }
  const { claim, user, client } = parsed.data;
  return {
    claim: new Secret(claim),
    ...(user === undefined ? {} : { person: { ...user, password: new Secret(user.password) } }),
    ...(client === undefined ? {} : { clientName: client.name }),
  };
}

async function readFormClaim(request: IncomingMessage): Promise<ClaimRequest> {
  const fields = await readForm(request, bodyBytesMax);
  const field = (name: string) => fields.get(name) ?? "";
  return {
    claim: new Secret(field("claim").trim()),
    person: { email: field("email"), name: field("name"), password: new Secret(field("password")) },
  };
}

function describeResult(org: string, result: ClaimResult): object {
  return {
    org,
    ...(result.person === undefined ? {} : { user: result.person }),
    ...(result.client === undefined
      ? {}
      : {
          client: {
            client_id: result.client.clientId,
            client_secret: result.client.clientSecret.reveal(),
          },
        }),
  };
}

function form(problem?: string): Html {
  const notice = problem === undefined ? undefined : html`<p class="error" role="alert">${problem}</p>`;
  return html`${notice}
<p>Show the claim that <code>biplane data init</code> printed, and choose how you will sign in. It works once.</p>
<form method="post">
<label for="claim">Claim</label>
<input id="claim" name="claim" autocomplete="off" required autofocus>
<label for="name">Your name</label>
<input id="name" name="name" autocomplete="name">
<label for="email">E-mail</label>
<input id="email" name="email" type="email" autocomplete="username" required>
<label for="password">Password (at least ${passwordCharactersMin} characters)</label>
<input id="password" name="password" type="password" autocomplete="new-password" minlength="${passwordCharactersMin}" required>
<button type="submit">Become administrator</button>
</form>`;
}
