/** What a backup of the root holds, and the encrypted file that it is in. */
import { BiplaneError, parseClusterId, parseOrgId, type Secret } from "@biplane/base";
import { openUnderPassphrase, sealUnderPassphrase } from "@biplane/kit/passphrase-seal";
import { z } from "zod";
import { keyProviderSchema } from "../keys/open-provider.ts";

const format = "biplane-root-backup";
const passphraseCharactersMin = 16;

const schema = z.strictObject({
  version: z.literal(1),
  createdAtMs: z.number(),
  org: z.string().transform(parseOrgId),
  cluster: z.string().transform(parseClusterId),
  region: z.string(),
  addresses: z.strictObject({ router: z.string(), authority: z.string(), objects: z.string() }),
  /** Where the customer's keys are: not the keys. */
  keys: keyProviderSchema,
  /** The organization's root: certificate and key. */
  root: z.strictObject({ certificatePem: z.string(), privateKeyPem: z.string() }),
  /** Where that root took another one's place. */
  predecessor: z.strictObject({ rootPem: z.string(), crossPem: z.string(), isOver: z.boolean() }).optional(),
  /** Opens the sealed columns and the sealed files. Base64url. */
  systemKey: z.base64url().length(43),
  /** The authority's signing keys, as their file is: sealed under the system key. Base64url. */
  signingKeys: z.base64url(),
  /** Rows by table. */
  identity: z.record(z.string(), z.array(z.looseObject({}))),
});
export type BackupContent = z.infer<typeof schema>;

export async function sealBackup(content: BackupContent, passphrase: Secret<string>): Promise<Uint8Array> {
  requireStrong(passphrase);
  return sealUnderPassphrase(passphrase, format, new TextEncoder().encode(JSON.stringify(content)));
}

export async function openBackup(file: Uint8Array, passphrase: Secret<string>): Promise<BackupContent> {
  const bytes = await openUnderPassphrase(passphrase, format, file);
  const parsed = schema.safeParse(JSON.parse(new TextDecoder().decode(bytes)));
  if (parsed.success) return parsed.data;
  throw new BiplaneError("invalid_argument", {
    what: "The backup was made by another version of Biplane.",
    why: z.prettifyError(parsed.error),
    next: "Restore it with the version that made it.",
  });
}

/** The file holds what everybody believes, and its passphrase can be guessed without anybody noticing. */
export function requireStrong(passphrase: Secret<string>): void {
  if (passphrase.reveal().length >= passphraseCharactersMin) return;
  throw new BiplaneError("invalid_argument", {
    what: "The passphrase is too short.",
    why: `A backup of the root needs one of at least ${passphraseCharactersMin} characters.`,
    next: "Take several random words, and keep them apart from the file.",
  });
}
