/** Notes and checkpoints: the forms that others read, and signatures that others' bytes don't have. */
import { Secret } from "@biplane/base";
import { expect, test } from "vitest";
import {
  cosignCheckpoint,
  formatCheckpoint,
  isSignedBy,
  parseCheckpoint,
  signCheckpoint,
  withSignature,
} from "./checkpoint.ts";
import { leafHash } from "./merkle.ts";
import {
  cosignedAtSeconds,
  createNoteSigner,
  findSignature,
  formatNote,
  parseNote,
  parseNoteVerifier,
} from "./note.ts";

const seed = (byte: number) => new Secret(new Uint8Array(32).fill(byte));
const log = createNoteSigner("acme.data.biplane/home", "log", seed(1));
const witness = createNoteSigner("acme.control.biplane/witness", "witness", seed(2));
const root = leafHash(new TextEncoder().encode("one"));

test("a verifier of the Go project's signed notes checks its published example", () => {
  const verifier = parseNoteVerifier("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW");
  const note = parseNote(
    "If you think cryptography is the answer to your problem,\n" +
      "then you don't know what your problem is.\n\n" +
      "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n",
  );
  expect(findSignature(note, verifier)).toBeDefined();
  expect(findSignature({ ...note, text: note.text.replace("answer", "reply") }, verifier)).toBeUndefined();
});

test("a checkpoint has the form of C2SP and comes back as it went (claim AUD-3)", () => {
  const checkpoint = signCheckpoint(12, root, log);
  const text = formatCheckpoint(checkpoint);
  expect(text.split("\n").slice(0, 4)).toEqual([
    "acme.data.biplane/home",
    "12",
    Buffer.from(root).toString("base64"),
    "",
  ]);
  expect(parseCheckpoint(text)).toEqual(checkpoint);
  expect(isSignedBy(checkpoint, parseNoteVerifier(log.text))).toBe(true);
});

test("what a key did not sign is not taken for signed", () => {
  const checkpoint = signCheckpoint(12, root, log);
  const enlarged = { ...checkpoint.note, text: checkpoint.note.text.replace("\n12\n", "\n13\n") };
  expect(isSignedBy(parseCheckpoint(formatNote(enlarged)), log)).toBe(false);
  const impostor = createNoteSigner(log.name, "log", seed(3));
  expect(isSignedBy(signCheckpoint(12, root, impostor), log)).toBe(false);
  const otherLog = createNoteSigner("acme.data.biplane/second", "log", seed(1));
  expect(isSignedBy(signCheckpoint(12, root, otherLog), log)).toBe(false);
});

test("a cosignature carries its time, and counts for this checkpoint alone", () => {
  const checkpoint = signCheckpoint(12, root, log);
  const cosigned = withSignature(checkpoint, cosignCheckpoint(checkpoint, witness, 1_700_000_000));
  const read = parseCheckpoint(formatCheckpoint(cosigned));
  expect(isSignedBy(read, witness) && isSignedBy(read, log)).toBe(true);
  expect(cosignedAtSeconds(findSignature(read.note, witness)!)).toBe(1_700_000_000);
  const moved = withSignature(signCheckpoint(13, root, log), findSignature(read.note, witness)!);
  expect(isSignedBy(moved, witness)).toBe(false);
  const later = findSignature(read.note, witness)!;
  later.bytes[11]! ^= 1;
  expect(isSignedBy(withSignature(checkpoint, later), witness)).toBe(false);
});

test.each([
  ["no signature", "acme\n1\nAAAA\n"],
  ["a line that is no signature", "a\n1\nAAAA\n\n- a AAAA\n"],
  ["no root", "a\n1\n\n\n— a AAAA\n"],
])("%s is refused", (_, text) => {
  expect(() => parseCheckpoint(text)).toThrow(/no signed note|no checkpoint/);
});

test("a verifier whose name does not belong to its key is refused", () => {
  expect(() => parseNoteVerifier(log.text.replace("home", "away"))).toThrow("no verifier");
});
