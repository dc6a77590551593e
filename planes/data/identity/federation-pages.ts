/** The way to the customer's own provider and back, around the sign-in page. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { isBiplaneError } from "@biplane/base";
import { html, sendPage, sendRedirect } from "@biplane/kit/html";
import type Provider from "oidc-provider";
import type { IdentityAudit } from "./audit.ts";
import type { Federation } from "./federation.ts";

const cookieName = "__Host-biplane-federation";
export const federatedSuffix = "/federated";

/** Back from the provider: the sign-in page that sent the person away goes on. */
export function handleFederationCallback(
  federation: Federation,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  const interaction = federation.interactionOf(pendingOf(request));
  if (interaction === undefined) {
    const body = html`<p class="error" role="alert">This sign-in was not begun in this browser, or too long ago.</p>`;
    sendPage(response, 400, { title: "That did not work", body });
    return;
  }
  sendRedirect(response, `/interaction/${interaction}${federatedSuffix}?${queryOf(request)}`);
}

/** `/interaction/UID/federated`: without an answer it sends the person to the provider, with one it signs them in. */
export async function handleFederated(
  parts: { federation: Federation; provider: Provider; audit: IdentityAudit },
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { federation, provider, audit } = parts;
  const { uid } = await provider.interactionDetails(request, response);
  const query = queryOf(request);
  try {
    if (!query.has("state")) {
      const { url, pending } = await federation.begin(uid);
      return sendRedirect(response, url, { "set-cookie": cookie(pending, 600) });
    }
    const { subject } = await federation.finish(pendingOf(request), uid, query);
    await audit("SIGN_IN", "allowed", { subject, reason: "federated" }, request);
    response.appendHeader("set-cookie", cookie("", 0));
    await provider.interactionFinished(request, response, { login: { accountId: subject, remember: true } });
  } catch (error) {
    if (!isBiplaneError(error)) throw error;
    await audit("SIGN_IN_REFUSED", "unauthenticated", { reason: error.reason ?? error.code }, request);
    const body = html`<p class="error" role="alert">${error.message}</p>
<p><a href="/interaction/${uid}">Back to the sign-in page</a></p>`;
    sendPage(response, 401, { title: "That did not work", body });
  }
}

function queryOf(request: IncomingMessage): URLSearchParams {
  return new URLSearchParams((request.url ?? "").split("?")[1] ?? "");
}

function pendingOf(request: IncomingMessage): string | undefined {
  const cookies = (request.headers.cookie ?? "").split(/; */);
  return cookies.find((one) => one.startsWith(`${cookieName}=`))?.slice(cookieName.length + 1);
}

/** `Lax`: the browser comes back by a link from another site. */
function cookie(value: string, seconds: number): string {
  return `${cookieName}=${value}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=${seconds}`;
}
