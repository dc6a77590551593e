/**
 * What a password or a client secret is checked against. Passwords go through a slow memory-hard function: Argon2id
 * (RFC 9106) where this Node has it, else scrypt (RFC 7914). Client secrets are 256 random bits, so one hash is enough.
 */
import * as crypto from "node:crypto";
import { promisify } from "node:util";
import { equalInConstantTime } from "@biplane/base";

export type Credential =
  | { readonly scheme: "argon2id" | "scrypt"; readonly salt: string; readonly hash: string }
  | { readonly scheme: "sha256"; readonly hash: string }
  /** Nothing is right: invited people, and those who sign in at the customer's own provider. */
  | { readonly scheme: "none" };

const saltBytes = 16;
const hashBytes = 32;
/** OWASP's minimum for Argon2id: 19 MiB, two passes. */
const argonMemoryKiB = 19_456;
const argonPasses = 2;
const scryptOptions = { N: 2 ** 17, r: 8, p: 1, maxmem: 256 * 1024 * 1024 } as const;

export async function hashPassword(password: string): Promise<Credential> {
  const scheme = typeof crypto.argon2 === "function" ? "argon2id" : "scrypt";
  const salt = crypto.randomBytes(saltBytes);
  return {
    scheme,
    salt: salt.toString("base64url"),
    hash: (await derive(scheme, password, salt)).toString("base64url"),
  };
}

export function hashSecret(secret: string): Extract<Credential, { scheme: "sha256" }> {
  return { scheme: "sha256", hash: crypto.createHash("sha256").update(secret).digest("base64url") };
}

export async function verifyCredential(credential: Credential, shown: string): Promise<boolean> {
  if (credential.scheme === "none") return false;
  const found =
    credential.scheme === "sha256"
      ? crypto.createHash("sha256").update(shown).digest()
      : await derive(credential.scheme, shown, Buffer.from(credential.salt, "base64url"));
  return equalInConstantTime(found, Buffer.from(credential.hash, "base64url"));
}

const scrypt = promisify<string, Buffer, number, crypto.ScryptOptions, Buffer>(crypto.scrypt);

function derive(scheme: "argon2id" | "scrypt", password: string, salt: Buffer): Promise<Buffer> {
  const normalized = password.normalize("NFKC");
  if (scheme === "scrypt") return scrypt(normalized, salt, hashBytes, scryptOptions);
  return new Promise((resolve, reject) => {
    const parameters = {
      message: normalized,
      nonce: salt,
      parallelism: 1,
      tagLength: hashBytes,
      memory: argonMemoryKiB,
      passes: argonPasses,
    };
    crypto.argon2("argon2id", parameters, (error, key) => (error ? reject(error) : resolve(key)));
  });
}
