/**
 * Signed notes (https://c2sp.org/signed-note) under Ed25519, and cosignatures of witnesses
 * (https://c2sp.org/tlog-cosignature). Verifying a signature reads no clock and no file: both planes and clients do it.
 */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  type KeyObject,
  sign as signBytes,
  verify as verifyBytes,
} from "node:crypto";
import { BiplaneError, Secret } from "@biplane/base";

/** The first byte of what names a key: who signs as a log, and who as a witness. */
export type NoteKeyKind = "log" | "witness";
const kindBytes = { log: 1, witness: 4 } as const satisfies Record<NoteKeyKind, number>;
const keyBytes = 32;
const signatureBytes = 64;
const idBytes = 4;
const timeBytes = 8;

export interface NoteVerifier {
  readonly name: string;
  readonly kind: NoteKeyKind;
  readonly publicKey: Uint8Array;
  /** `NAME+ID+KEY`, the form in which verifiers are exchanged. */
  readonly text: string;
}

export interface NoteSigner extends NoteVerifier {
  readonly key: Secret<KeyObject>;
}

const namePattern = /^[^\s+]{1,255}$/;
/** RFC 8410: what stands before an Ed25519 seed, and before a public key, in DER. */
const seedPrefix = Buffer.from("302e020100300506032b657004220420", "hex");
const publicPrefix = Buffer.from("302a300506032b6570032100", "hex");

/** A signer whose key is made of 32 secret bytes, so that the same bytes always give the same signer. */
export function createNoteSigner(name: string, kind: NoteKeyKind, seed: Secret<Uint8Array>): NoteSigner {
  const der = Buffer.concat([seedPrefix, seed.reveal()]);
  const key = createPrivateKey({ key: der, format: "der", type: "pkcs8" });
  const spki = createPublicKey(key).export({ format: "der", type: "spki" });
  return {
    ...noteVerifier(name, kind, new Uint8Array(spki.subarray(publicPrefix.length))),
    key: new Secret(key),
  };
}

export function noteVerifier(name: string, kind: NoteKeyKind, publicKey: Uint8Array): NoteVerifier {
  if (!namePattern.test(name)) {
    throw new BiplaneError("invalid_argument", `${JSON.stringify(name)} can't name a note's key.`);
  }
  const key = Buffer.concat([Uint8Array.of(kindBytes[kind]), publicKey]);
  const text = `${name}+${keyIdOf(name, kind, publicKey).toString("hex")}+${key.toString("base64")}`;
  return { name, kind, publicKey, text };
}

/** Throws `invalid_argument` for what is no verifier of one of the two kinds. */
export function parseNoteVerifier(text: string): NoteVerifier {
  const match = /^([^\s+]{1,255})\+([0-9a-f]{8})\+([A-Za-z0-9+/]{44})$/.exec(text.trim());
  const key = Buffer.from(match?.[3] ?? "", "base64");
  const kind = (Object.keys(kindBytes) as NoteKeyKind[]).find((one) => kindBytes[one] === key[0]);
  if (match === null || kind === undefined || key.length !== 1 + keyBytes) throw noVerifier();
  const verifier = noteVerifier(match[1]!, kind, new Uint8Array(key.subarray(1)));
  if (verifier.text !== text.trim()) throw noVerifier();
  return verifier;
}

export interface NoteSignature {
  readonly name: string;
  /** Key id and signature as they stand in the note. */
  readonly bytes: Uint8Array;
}

export interface SignedNote {
  /** Everything that is signed, its last line's end included. */
  readonly text: string;
  readonly signatures: readonly NoteSignature[];
}

const noteCharactersMax = 16_384;
const signaturesMax = 100;

export function parseNote(note: string): SignedNote {
  const split = note.lastIndexOf("\n\n");
  if (split < 0 || note.length > noteCharactersMax || !note.endsWith("\n")) throw noNote();
  const lines = note.slice(split + 2, -1).split("\n");
  if (lines.length > signaturesMax) throw noNote();
  const signatures = lines.map((line) => {
    const match = /^— ([^\s+]{1,255}) ([A-Za-z0-9+/]+={0,2})$/.exec(line);
    if (match === null) throw noNote();
    return { name: match[1]!, bytes: new Uint8Array(Buffer.from(match[2]!, "base64")) };
  });
  return { text: note.slice(0, split + 1), signatures };
}

export function formatNote({ text, signatures }: SignedNote): string {
  const lines = signatures.map(({ name, bytes }) => `— ${name} ${Buffer.from(bytes).toString("base64")}\n`);
  return `${text}\n${lines.join("")}`;
}

export function signNote(text: string, signer: NoteSigner): NoteSignature {
  const signature = signBytes(null, Buffer.from(text, "utf8"), signer.key.reveal());
  const id = keyIdOf(signer.name, signer.kind, signer.publicKey);
  return { name: signer.name, bytes: new Uint8Array(Buffer.concat([id, signature])) };
}

/** A witness's word that at this time it saw the checkpoint, and that it continues what it saw before. */
export function cosignNote(text: string, signer: NoteSigner, atSeconds: number): NoteSignature {
  const signature = signBytes(null, cosignedBytes(text, atSeconds), signer.key.reveal());
  const time = Buffer.alloc(timeBytes);
  time.writeBigUInt64BE(BigInt(atSeconds));
  const id = keyIdOf(signer.name, signer.kind, signer.publicKey);
  return { name: signer.name, bytes: new Uint8Array(Buffer.concat([id, time, signature])) };
}

/** The verifier's good signature of the note, or undefined. */
export function findSignature(note: SignedNote, verifier: NoteVerifier): NoteSignature | undefined {
  const id = keyIdOf(verifier.name, verifier.kind, verifier.publicKey);
  return note.signatures.find(
    ({ name, bytes }) =>
      name === verifier.name && id.equals(bytes.subarray(0, idBytes)) && isGood(note.text, bytes, verifier),
  );
}

/** When a witness saw what it signed, in seconds since 1970. */
export function cosignedAtSeconds({ bytes }: NoteSignature): number {
  return Number(Buffer.from(bytes).readBigUInt64BE(idBytes));
}

function isGood(text: string, bytes: Uint8Array, verifier: NoteVerifier): boolean {
  const isWitness = verifier.kind === "witness";
  if (bytes.length !== idBytes + (isWitness ? timeBytes : 0) + signatureBytes) return false;
  const signed = isWitness
    ? cosignedBytes(text, cosignedAtSeconds({ name: verifier.name, bytes }))
    : Buffer.from(text, "utf8");
  const der = Buffer.concat([publicPrefix, verifier.publicKey]);
  const key = createPublicKey({ key: der, format: "der", type: "spki" });
  return verifyBytes(null, signed, key, bytes.subarray(bytes.length - signatureBytes));
}

function cosignedBytes(text: string, atSeconds: number): Buffer {
  return Buffer.from(`cosignature/v1\ntime ${atSeconds}\n${text}`, "utf8");
}

function keyIdOf(name: string, kind: NoteKeyKind, publicKey: Uint8Array): Buffer {
  const hash = createHash("sha256").update(`${name}\n`).update(Uint8Array.of(kindBytes[kind]));
  return hash.update(publicKey).digest().subarray(0, idBytes);
}

function noVerifier(): BiplaneError {
  return new BiplaneError("invalid_argument", "This is no verifier of signed notes.");
}

function noNote(): BiplaneError {
  return new BiplaneError("invalid_argument", "This is no signed note.");
}
