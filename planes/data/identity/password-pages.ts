/** `/invitation`, where invited people choose a password, and `/password`, where anyone changes theirs. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { type BiplaneError, isBiplaneError, Secret } from "@biplane/base";
import { type Html, html, sendPage } from "@biplane/kit/html";
import { readForm } from "@biplane/kit/http-body";
import type { AddressBudget } from "./attempts.ts";
import type { IdentityAudit } from "./audit.ts";
import type { PasswordSignIn } from "./password-sign-in.ts";
import type { People } from "./people.ts";
import { refusalStatus } from "./refusal-status.ts";
import { passwordCharactersMin } from "./subject-rules.ts";

const formBytesMax = 8_192;

export interface PasswordPageParts {
  readonly people: People;
  readonly signIn: PasswordSignIn;
  /** Wrong invitation codes. */
  readonly guesses: AddressBudget;
  readonly audit: IdentityAudit;
}

export function handleInvitation(
  parts: PasswordPageParts,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  return handleForm(request, response, { title: "Your invitation", form: invitationForm }, async (form) => {
    try {
      const code = new Secret((form.get("code") ?? "").trim());
      const { subject } = await parts.guesses.attempt(request, "invitation_refused", () =>
        parts.people.acceptInvitation(code, newPassword(form)),
      );
      await parts.audit("INVITATION_ACCEPTED", "allowed", { subject }, request);
      return undefined;
    } catch (error) {
      if (isBiplaneError(error)) await parts.audit("INVITATION_REFUSED", "refused", reasonOf(error), request);
      throw error;
    }
  });
}

export function handlePasswordChange(
  parts: PasswordPageParts,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  return handleForm(request, response, { title: "Change your password", form: changeForm }, async (form) => {
    try {
      const [email, present] = [form.get("email") ?? "", form.get("password") ?? ""];
      const found = await parts.signIn.check(email, present, request);
      if (found === undefined) return "The e-mail address or the present password is wrong.";
      await parts.people.changePassword(found.subject, newPassword(form));
      await parts.audit("PASSWORD_CHANGED", "allowed", { subject: found.subject }, request);
      return undefined;
    } catch (error) {
      if (isBiplaneError(error)) await parts.audit("PASSWORD_CHANGED", "refused", reasonOf(error), request);
      throw error;
    }
  });
}

interface FormPage {
  readonly title: string;
  readonly form: (problem?: string) => Html;
}

/** `work` resolves to what is wrong with the form, or to nothing. */
async function handleForm(
  request: IncomingMessage,
  response: ServerResponse,
  { title, form }: FormPage,
  work: (form: URLSearchParams) => Promise<string | undefined>,
): Promise<void> {
  if (request.method === "GET") return sendPage(response, 200, { title, body: form() });
  if (request.method !== "POST") {
    return sendPage(response, 405, {
      title: "Not here",
      body: html`<p>This page takes its own form only.</p>`,
    });
  }
  try {
    const problem = await work(await readForm(request, formBytesMax));
    if (problem !== undefined) return sendPage(response, 401, { title, body: form(problem) });
    const body = html`<p>Your new password counts from now on. Sign in with <code>biplane login</code>.</p>`;
    sendPage(response, 200, { title: "Done", body });
  } catch (error) {
    if (!isBiplaneError(error)) throw error;
    sendPage(response, refusalStatus(error), { title, body: form(error.message) });
  }
}

function newPassword(form: URLSearchParams): Secret<string> {
  return new Secret(form.get("new_password") ?? "");
}

function reasonOf(error: BiplaneError): { reason: string } {
  return { reason: error.reason ?? error.code };
}

function invitationForm(problem?: string): Html {
  return html`${notice(problem)}
<p>Enter the code that an administrator gave you, and choose a password. The code works once.</p>
<form method="post">
<label for="code">Code</label>
<input id="code" name="code" autocomplete="off" required autofocus>
${newPasswordField}
<button type="submit">Choose password</button>
</form>`;
}

function changeForm(problem?: string): Html {
  return html`${notice(problem)}
<p>You are signed out everywhere when the password changes.</p>
<form method="post">
<label for="email">E-mail</label>
<input id="email" name="email" type="email" autocomplete="username" required autofocus>
<label for="password">Present password</label>
<input id="password" name="password" type="password" autocomplete="current-password" required>
${newPasswordField}
<button type="submit">Change password</button>
</form>`;
}

const newPasswordField = html`<label for="new_password">New password (at least ${passwordCharactersMin} characters)</label>
<input id="new_password" name="new_password" type="password" autocomplete="new-password" minlength="${passwordCharactersMin}" required>`;

function notice(problem: string | undefined): Html | undefined {
  return problem === undefined ? undefined : html`<p class="error" role="alert">${problem}</p>`;
}
