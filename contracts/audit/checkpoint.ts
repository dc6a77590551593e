/** Checkpoints (https://c2sp.org/tlog-checkpoint): which log, how many records, which root; signed as a note. */
import { BiplaneError } from "@biplane/base";
import { type Hash, hashBytes } from "./merkle.ts";
import {
  cosignNote,
  findSignature,
  formatNote,
  type NoteSignature,
  type NoteSigner,
  type NoteVerifier,
  parseNote,
  type SignedNote,
  signNote,
} from "./note.ts";

export interface Checkpoint {
  /** Name of the log, and of the key that signs for it. */
  readonly origin: string;
  readonly size: number;
  readonly root: Hash;
}

export interface SignedCheckpoint extends Checkpoint {
  readonly note: SignedNote;
}

export function signCheckpoint(size: number, root: Hash, signer: NoteSigner): SignedCheckpoint {
  const origin = signer.name;
  const text = textOf({ origin, size, root });
  return { origin, size, root, note: { text, signatures: [signNote(text, signer)] } };
}

/** Put together from its parts; whether the signature is good is not checked. */
export function signedCheckpoint(checkpoint: Checkpoint, signature: Uint8Array): SignedCheckpoint {
  const { origin, size, root } = checkpoint;
  const signatures = [{ name: origin, bytes: signature }];
  return { origin, size, root, note: { text: textOf(checkpoint), signatures } };
}

function textOf({ origin, size, root }: Checkpoint): string {
  return `${origin}\n${size}\n${Buffer.from(root).toString("base64")}\n`;
}

/** Throws `invalid_argument` for what is no checkpoint; no signature is checked. */
export function parseCheckpoint(text: string): SignedCheckpoint {
  const note = parseNote(text);
  const match = /^([^\n]{1,255})\n(0|[1-9]\d{0,14})\n([A-Za-z0-9+/]{43}=)\n$/.exec(note.text);
  const root = new Uint8Array(Buffer.from(match?.[3] ?? "", "base64"));
  if (match === null || root.length !== hashBytes) {
    throw new BiplaneError("invalid_argument", "This is no checkpoint of a log.");
  }
  return { origin: match[1]!, size: Number(match[2]), root, note };
}

export function formatCheckpoint({ note }: SignedCheckpoint): string {
  return formatNote(note);
}

export function isSignedBy(checkpoint: SignedCheckpoint, verifier: NoteVerifier): boolean {
  if (verifier.kind === "log" && checkpoint.origin !== verifier.name) return false;
  return findSignature(checkpoint.note, verifier) !== undefined;
}

export function cosignCheckpoint(
  { note }: SignedCheckpoint,
  witness: NoteSigner,
  atSeconds: number,
): NoteSignature {
  return cosignNote(note.text, witness, atSeconds);
}

/** The checkpoint with the signature in place of an older one of the same key's name. */
export function withSignature(checkpoint: SignedCheckpoint, signature: NoteSignature): SignedCheckpoint {
  const { text, signatures } = checkpoint.note;
  const others = signatures.filter(({ name }) => name !== signature.name);
  return { ...checkpoint, note: { text, signatures: [...others, signature] } };
}
