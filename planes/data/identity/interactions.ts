/** The pages on which a person signs in and agrees that a client may act for them. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { isBiplaneError } from "@biplane/base";
import { type Html, html, sendPage } from "@biplane/kit/html";
import { readForm } from "@biplane/kit/http-body";
import type Provider from "oidc-provider";
import type { IdentityAudit } from "./audit.ts";
import type { Federation } from "./federation.ts";
import { federatedSuffix, handleFederated } from "./federation-pages.ts";
import type { PasswordSignIn } from "./password-sign-in.ts";

const formBytesMax = 8_192;
type Details = Awaited<ReturnType<Provider["interactionDetails"]>>;

export interface InteractionParts {
  readonly provider: Provider;
  readonly signIn: PasswordSignIn;
  /** The customer's own provider, where there is one. */
  readonly federation: Federation | undefined;
  readonly audit: IdentityAudit;
}

/** Answers `/interaction/UID`, to which the provider sends people. */
export async function handleInteraction(
  parts: InteractionParts,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { federation } = parts;
  const path = (request.url ?? "").split("?")[0]!;
  if (federation !== undefined && request.method === "GET" && path.endsWith(federatedSuffix)) {
    return handleFederated({ ...parts, federation }, request, response);
  }
  const details = await parts.provider.interactionDetails(request, response);
  if (request.method === "GET") return showPrompt(parts, details, response, 200);
  if (request.method !== "POST") return sendPage(response, 405, notHere());
  const form = await readForm(request, formBytesMax);
  if (form.get("abort") !== null) return abort(parts, request, response);
  if (details.prompt.name === "login") return signIn(parts, details, form, request, response);
  return agree(parts, details, request, response);
}

function showPrompt(
  { federation }: InteractionParts,
  details: Details,
  response: ServerResponse,
  status: number,
  problem?: string,
): void {
  const client = String(details.params["client_id"]);
  const isLogin = details.prompt.name === "login";
  sendPage(response, status, {
    title: isLogin ? "Sign in" : "Allow access?",
    body: isLogin ? loginForm(problem, federatedLink(federation, details.uid)) : consentForm(client),
    formTargets: redirectTargets(details),
  });
}

function federatedLink(federation: Federation | undefined, uid: string): Html | undefined {
  if (federation === undefined) return undefined;
  return html`<p><a href="/interaction/${uid}${federatedSuffix}">Sign in with ${federation.name}</a></p>`;
}

function loginForm(problem: string | undefined, federated: Html | undefined): Html {
  const notice =
    problem === undefined ? undefined : html`<p class="error" role="alert" id="problem">${problem}</p>`;
  return html`${notice}${federated}
<form method="post">
<label for="email">E-mail</label>
<input id="email" name="email" type="email" autocomplete="username" required autofocus>
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" required>
<button type="submit">Sign in</button>
</form>`;
}

function consentForm(client: string): Html {
  return html`<p><strong>${client}</strong> wants to act for you in this organization.</p>
<p>Continue only if you started this yourself.</p>
<form method="post"><button type="submit" autofocus>Allow</button><button type="submit" name="abort" value="yes">Cancel</button></form>`;
}

/** Browsers apply `form-action` to redirects too, and the sign-in ends with one to the client. */
function redirectTargets(details: Details): string[] {
  const target = details.params["redirect_uri"];
  return typeof target === "string" && URL.canParse(target) ? [new URL(target).origin] : [];
}

async function signIn(
  parts: InteractionParts,
  details: Details,
  form: URLSearchParams,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const email = form.get("email") ?? "";
  try {
    const found = await parts.signIn.check(email, form.get("password") ?? "", request);
    if (found !== undefined) {
      await parts.audit("SIGN_IN", "allowed", { subject: found.subject }, request);
      response.appendHeader("set-cookie", parts.signIn.knownBrowserCookie(email));
      const result = { login: { accountId: found.subject, remember: true } };
      return parts.provider.interactionFinished(request, response, result);
    }
  } catch (error) {
    if (!isBiplaneError(error, "resource_exhausted")) throw error;
    await parts.audit("SIGN_IN_REFUSED", "refused", { reason: "too_many_attempts" }, request);
    return showPrompt(parts, details, response, 429, error.message);
  }
  await parts.audit("SIGN_IN_REFUSED", "unauthenticated", { reason: "wrong_password" }, request);
  showPrompt(parts, details, response, 401, "The e-mail address or the password is wrong.");
}

async function agree(
  parts: InteractionParts,
  details: Details,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { provider } = parts;
  const clientId = String(details.params["client_id"]);
  const accountId = details.session?.accountId;
  if (accountId === undefined) throw new Error("Consent was asked of nobody.");
  const known = details.grantId === undefined ? undefined : await provider.Grant.find(details.grantId);
  const grant = known ?? new provider.Grant({ accountId, clientId });
  const scope = typeof details.params["scope"] === "string" ? details.params["scope"] : "openid";
  grant.addOIDCScope(scope);
  const result = { consent: { grantId: await grant.save() } };
  await provider.interactionFinished(request, response, result, { mergeWithLastSubmission: true });
}

async function abort(
  parts: InteractionParts,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const result = { error: "access_denied", error_description: "The person declined." };
  await parts.provider.interactionFinished(request, response, result, { mergeWithLastSubmission: false });
}

function notHere() {
  return { title: "Not here", body: html`<p>This page takes its own form only.</p>` };
}
