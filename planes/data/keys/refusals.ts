/** What every provider says in the same words, whatever its own error was. */
import { BiplaneError } from "@biplane/base";
import type { KeyVersion } from "./types.ts";

/** `said` is the provider's own word, e.g. `DisabledException` or `CKR_KEY_FUNCTION_NOT_PERMITTED`. */
export function keyDisabled({ key, version }: KeyVersion, said: string, cause?: unknown): BiplaneError {
  return new BiplaneError(
    "failed_precondition",
    {
      what: "The key that protects this data is disabled.",
      why: `The key provider does not give version ${version} of the key ${key}: ${said}.`,
      next: "Enable the key at its provider, then try again.",
    },
    { cause, reason: "key_disabled" },
  );
}

export function noSuchKey({ key, version }: KeyVersion): BiplaneError {
  return new BiplaneError("not_found", {
    what: `There is no version ${version} of the key ${key}.`,
    next: "Look at `biplane keys list`.",
  });
}

export function requireKeyName(key: string): string {
  if (/^[a-z0-9][a-z0-9-]{0,62}$/.test(key)) return key;
  throw new BiplaneError("invalid_argument", {
    what: `${JSON.stringify(key.slice(0, 80))} can't be the name of a key.`,
    why: "Names have lower-case letters, digits and hyphens, 63 at most.",
  });
}

export function unreadableKey(cause: unknown): BiplaneError {
  return new BiplaneError(
    "data_loss",
    { what: "A project's key can't be unwrapped.", why: "It was changed, moved, or wrapped by another key." },
    { cause, reason: "unreadable" },
  );
}
