/** Pages of the device flow and of the provider's errors, in place of its own ones: no script, strict CSP. */
import type { IncomingMessage } from "node:http";
import { html, pageHeaders, renderPage } from "@biplane/kit/html";
import type { Configuration, KoaContextWithOIDC } from "oidc-provider";

type DeviceFlow = Extract<
  NonNullable<NonNullable<Configuration["features"]>["deviceFlow"]>,
  { userCodeInputSource?: unknown }
>;

/** `onWrong` is told of each code that does not work: somebody may be guessing. */
export function deviceInputPage(
  onWrong: (request: IncomingMessage) => Promise<void>,
): NonNullable<DeviceFlow["userCodeInputSource"]> {
  return async (context, form, _out, error) => {
    if (error !== undefined && error !== null && error.name !== "NoCodeError") await onWrong(context.req);
    await showInput(context, form, error);
  };
}

type InputSource = NonNullable<DeviceFlow["userCodeInputSource"]>;

const showInput = async (
  context: Parameters<InputSource>[0],
  form: string,
  error: Parameters<InputSource>[3],
): Promise<void> => {
  const { action, token } = readForm(form);
  const notice =
    error === undefined || error === null
      ? undefined
      : html`<p class="error" role="alert">The code does not work. Check it, or ask your command line for a new one.</p>`;
  show(
    context,
    200,
    "Sign in a device",
    html`${notice}
<form method="post" action="${action}">
<input type="hidden" name="xsrf" value="${token}">
<label for="user_code">Code that your device shows</label>
<input id="user_code" name="user_code" autocomplete="off" autofocus required>
<button type="submit">Continue</button>
</form>`,
  );
};

export const confirmDevicePage: NonNullable<DeviceFlow["userCodeConfirmSource"]> = async (
  context,
  form,
  client,
  _device,
  userCode,
) => {
  const { action, token } = readForm(form);
  show(
    context,
    200,
    "Is this your device?",
    html`
<p><strong>${client.clientName ?? client.clientId}</strong> wants to sign in with the code <code>${userCode}</code>.</p>
<p>Continue only if you started this yourself and your device shows the same code.</p>
<form method="post" action="${action}">
<input type="hidden" name="xsrf" value="${token}">
<input type="hidden" name="user_code" value="${userCode}">
<input type="hidden" name="confirm" value="yes">
<button type="submit" autofocus>Yes, continue</button>
</form>
<form method="post" action="${action}">
<input type="hidden" name="xsrf" value="${token}">
<input type="hidden" name="user_code" value="${userCode}">
<input type="hidden" name="abort" value="yes">
<button type="submit">No</button>
</form>`,
  );
};

export const deviceDonePage: NonNullable<DeviceFlow["successSource"]> = async (context) => {
  show(context, 200, "You are signed in", html`<p>Go back to your device; you can close this page.</p>`);
};

export const sendProviderError: NonNullable<Configuration["renderError"]> = async (context, out) => {
  const status = Math.max(context.status, 400);
  show(
    context,
    status,
    "That did not work",
    html`
<p class="error" role="alert">${out.error_description ?? out.error}</p>
<p>Go back to where you came from and begin again.</p>`,
  );
};

function show(
  context: Pick<KoaContextWithOIDC, "status" | "body" | "set">,
  status: number,
  title: string,
  body: ReturnType<typeof html>,
): void {
  context.status = status;
  context.set(pageHeaders());
  context.body = renderPage({ title, body });
}

/** The provider hands over a form of its own; what counts in it are the target and the token against forgery. */
function readForm(form: string): { action: string; token: string } {
  const action = /action="([^"]+)"/.exec(form)?.[1];
  const token = /name="xsrf" value="([^"]+)"/.exec(form)?.[1];
  if (action === undefined || token === undefined) throw new Error("The provider's form has another shape.");
  return { action, token };
}
