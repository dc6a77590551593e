/** What people and keys may be called, and what a password has to be. Checked before any slow hashing. */
import { randomBytes } from "node:crypto";
import { BiplaneError, Secret } from "@biplane/base";
import { hashPassword, hashSecret } from "./passwords.ts";
import type { NewSubject } from "./subject.ts";

export interface NewPerson {
  readonly email: string;
  readonly name: string;
  readonly password: Secret<string>;
}

export interface NewClient {
  readonly clientId: string;
  readonly clientSecret: Secret<string>;
}

export const passwordCharactersMin = 12;
export const passwordCharactersMax = 1_024;
const nameCharactersMax = 255;
const emailCharactersMax = 254;
/** Printable ASCII: letters of other scripts that look alike would be another person's name to the eye. */
const emailPattern = /^[!#-'*+\-.0-9=?A-Z^_`a-z{|}~]{1,64}@[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$/;
/** Controls, bidirectional marks and line breaks can make a list say what it does not. */
const hidden = /[\p{C}\p{Zl}\p{Zp}]/u;
const keyNamePattern = /^[A-Za-z0-9]([A-Za-z0-9 ._-]{0,61}[A-Za-z0-9])?$/;

export async function preparePerson(person: NewPerson, nowMs: number): Promise<NewSubject> {
  requirePassword(person.password);
  const invited = prepareInvited(person, nowMs);
  return { ...invited, credential: await hashPassword(person.password.reveal()) };
}

/** Someone who has no password yet. */
export function prepareInvited(
  person: { readonly email: string; readonly name: string },
  nowMs: number,
): NewSubject {
  const email = requireEmail(person.email);
  return {
    subject: newSubject("user"),
    kind: "user",
    profile: { name: requireName(person.name === "" ? email : person.name), email },
    credential: { scheme: "none" },
    createdAtMs: nowMs,
  };
}

export function prepareClient(name: string, nowMs: number): { subject: NewSubject; client: NewClient } {
  if (!keyNamePattern.test(name) || name.includes("..")) {
    throw invalid(
      `${JSON.stringify(shorten(name))} can't be a key's name.`,
      "It has 1 to 63 characters: ASCII letters, digits, '.', '_', '-' and inner spaces.",
    );
  }
  const clientId = newSubject("svc");
  const clientSecret = new Secret(randomBytes(32).toString("base64url"));
  const subject: NewSubject = {
    subject: clientId,
    kind: "service",
    profile: { name },
    credential: hashSecret(clientSecret.reveal()),
    createdAtMs: nowMs,
  };
  return { subject, client: { clientId, clientSecret } };
}

export function newSubject(kind: "user" | "svc"): string {
  return `${kind}-${randomBytes(10).toString("hex")}`;
}

export function requireEmail(email: string): string {
  const fits = email.length <= emailCharactersMax && emailPattern.test(email) && !email.includes("..");
  if (fits) return email;
  throw invalid(
    "The e-mail address can't be used to sign in.",
    `It has to look like name@host, in ASCII, with at most ${emailCharactersMax} characters.`,
  );
}

export function requireName(name: string): string {
  if (name.length <= nameCharactersMax && !hidden.test(name) && name.trim() !== "") return name.trim();
  throw invalid(
    "The name can't be used.",
    `It has 1 to ${nameCharactersMax} characters, none of them invisible.`,
  );
}

export function requirePassword(password: Secret<string>): void {
  const characters = password.reveal().length;
  if (characters >= passwordCharactersMin && characters <= passwordCharactersMax) return;
  throw invalid(
    "The password can't be used.",
    `It has to have ${passwordCharactersMin} to ${passwordCharactersMax} characters.`,
  );
}

export function unknownRole(role: string): BiplaneError {
  return new BiplaneError("invalid_argument", {
    what: `There is no role ${JSON.stringify(shorten(role))}.`,
    next: "List them: biplane get role",
  });
}

function shorten(text: string): string {
  return text.length <= 80 ? text : `${text.slice(0, 80)}…`;
}

function invalid(what: string, why: string): BiplaneError {
  return new BiplaneError("invalid_argument", { what, why });
}
