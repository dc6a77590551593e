/**
 * Encryption under a passphrase, for files that leave the machine: Argon2id (RFC 9106) makes the key, AES-256-GCM
 * seals. Layout: one line of JSON that says how, which the seal covers as well; then ciphertext and 16-byte tag.
 */
import * as crypto from "node:crypto";
import { BiplaneError, Secret } from "@biplane/base";
import { z } from "zod";
import { type Key, keyBytes } from "./crypto-keys.ts";

const saltBytes = 16;
const nonceBytes = 12;
const tagBytes = 16;
const headerBytesMax = 1_024;
const newLine = 0x0a;
const algorithm = "aes-256-gcm";
/** RFC 9106's second recommendation: 64 MiB, three passes, four lanes. */
const hardness = { memoryKiB: 65_536, passes: 3, lanes: 4 } as const;

/** Bounds keep a forged header from taking the machine's memory before anything is checked. */
const headerSchema = z.strictObject({
  format: z.string(),
  version: z.literal(1),
  kdf: z.literal("argon2id"),
  memoryKiB: z.int().min(hardness.memoryKiB).max(1_048_576),
  passes: z.int().min(1).max(16),
  lanes: z.int().min(1).max(16),
  salt: z.base64url().length(22),
  cipher: z.literal(algorithm),
  nonce: z.base64url().length(16),
});
type Header = z.infer<typeof headerSchema>;

export async function sealUnderPassphrase(
  passphrase: Secret<string>,
  format: string,
  plaintext: Uint8Array,
): Promise<Uint8Array> {
  const nonce = crypto.randomBytes(nonceBytes);
  const header: Header = {
    format,
    version: 1,
    kdf: "argon2id",
    ...hardness,
    salt: crypto.randomBytes(saltBytes).toString("base64url"),
    cipher: algorithm,
    nonce: nonce.toString("base64url"),
  };
  const line = Buffer.from(`${JSON.stringify(header)}\n`);
  const key = await derive(passphrase, header);
  const cipher = crypto.createCipheriv(algorithm, key.reveal(), nonce, { authTagLength: tagBytes });
  cipher.setAAD(line);
  const body = Buffer.concat([cipher.update(plaintext), cipher.final()]);
  return new Uint8Array(Buffer.concat([line, body, cipher.getAuthTag()]));
}

/** Throws `invalid_argument` for a file of another kind, `permission_denied` for a wrong passphrase or a changed file. */
export async function openUnderPassphrase(
  passphrase: Secret<string>,
  format: string,
  sealed: Uint8Array,
): Promise<Uint8Array> {
  const end = sealed.subarray(0, headerBytesMax).indexOf(newLine) + 1;
  const header = parseHeader(sealed.subarray(0, end), format);
  const body = sealed.subarray(end);
  if (body.length < tagBytes) throw otherKind(format);
  const key = await derive(passphrase, header);
  const nonce = Buffer.from(header.nonce, "base64url");
  const decipher = crypto.createDecipheriv(algorithm, key.reveal(), nonce, { authTagLength: tagBytes });
  decipher.setAAD(sealed.subarray(0, end));
  decipher.setAuthTag(body.subarray(body.length - tagBytes));
  try {
    const opened = decipher.update(body.subarray(0, body.length - tagBytes));
    return new Uint8Array(Buffer.concat([opened, decipher.final()]));
  } catch (cause) {
    throw refused(cause);
  }
}

function parseHeader(line: Uint8Array, format: string): Header {
  try {
    const header = headerSchema.parse(JSON.parse(new TextDecoder().decode(line)));
    if (header.format === format) return header;
  } catch (cause) {
    throw otherKind(format, cause);
  }
  throw otherKind(format);
}

function derive(passphrase: Secret<string>, header: Header): Promise<Key> {
  if (typeof crypto.argon2 !== "function") throw tooOldNode();
  const parameters = {
    message: passphrase.reveal().normalize("NFKC"),
    nonce: Buffer.from(header.salt, "base64url"),
    parallelism: header.lanes,
    tagLength: keyBytes,
    memory: header.memoryKiB,
    passes: header.passes,
  };
  return new Promise((resolve, reject) => {
    crypto.argon2(header.kdf, parameters, (error, key) =>
      error ? reject(error) : resolve(new Secret(new Uint8Array(key))),
    );
  });
}

function refused(cause: unknown): BiplaneError {
  return new BiplaneError(
    "permission_denied",
    {
      what: "The file can't be opened.",
      why: "The passphrase is another one, or the file was changed or cut off.",
      next: "Check the passphrase; if it is right, take another copy of the file.",
    },
    { cause, reason: "passphrase_refused" },
  );
}

function otherKind(format: string, cause?: unknown): BiplaneError {
  return new BiplaneError(
    "invalid_argument",
    { what: `The file is no ${format}, or its beginning was changed or cut off.` },
    { cause, reason: "other_kind_of_file" },
  );
}

function tooOldNode(): BiplaneError {
  return new BiplaneError("failed_precondition", {
    what: "This Node.js has no Argon2id, which makes the key of a backup.",
    next: "Use Node.js 24.7 or newer.",
  });
}
