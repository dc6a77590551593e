/**
 * Tink's streaming encryption, AES256_GCM_HKDF_1MB (https://developers.google.com/tink/streaming-aead): a header with
 * salt and nonce prefix, then segments of 1 MiB, each sealed with its number and whether it is the last, so that
 * segments can be read singly and neither be reordered nor cut off. Any Tink reads these files given the project key.
 */
import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from "node:crypto";
import { BiplaneError } from "@biplane/base";
import type { Key } from "@biplane/kit";

export const segmentBytes = 1024 * 1024;
const saltBytes = 32;
const prefixBytes = 7;
export const streamHeaderBytes = 1 + saltBytes + prefixBytes;
const tagBytes = 16;
/** Of output: smaller pieces cost a quarter more in calls, a whole megabyte at a time new memory from the system. */
const pieceBytes = 256 * 1024;
const algorithm = "aes-256-gcm";

/** Plaintext per segment; the first one shares its place with the header. */
const plainBytesFirst = segmentBytes - streamHeaderBytes - tagBytes;
const plainBytesLater = segmentBytes - tagBytes;

export function plainBytesOf(segment: number): number {
  return segment === 0 ? plainBytesFirst : plainBytesLater;
}

export function segmentCount(plainBytes: number): number {
  if (plainBytes <= plainBytesFirst) return 1;
  return 1 + Math.ceil((plainBytes - plainBytesFirst) / plainBytesLater);
}

/** Length of the whole stream on disk. */
export function cipherBytes(plainBytes: number): number {
  return streamHeaderBytes + plainBytes + segmentCount(plainBytes) * tagBytes;
}

/** The segment that holds a plaintext offset, and where its plaintext begins. */
export function segmentAt(plainOffset: number): { readonly segment: number; readonly plainStart: number } {
  if (plainOffset < plainBytesFirst) return { segment: 0, plainStart: 0 };
  const later = Math.floor((plainOffset - plainBytesFirst) / plainBytesLater);
  return { segment: later + 1, plainStart: plainBytesFirst + later * plainBytesLater };
}

/** Where a segment's ciphertext lies within the stream, header not counted. */
export function segmentPlace(segment: number, plainBytes: number): { offset: number; length: number } {
  const plainStart = segment === 0 ? 0 : plainBytesFirst + (segment - 1) * plainBytesLater;
  const offset = segment === 0 ? streamHeaderBytes : segment * segmentBytes;
  return { offset, length: Math.min(plainBytesOf(segment), plainBytes - plainStart) + tagBytes };
}

/** Seals the segments of one new stream, in order. */
export class SegmentSealer {
  readonly header: Buffer;
  readonly #key: Uint8Array;
  #segment = 0;

  constructor(projectKey: Key, associated: string) {
    const random = randomBytes(saltBytes + prefixBytes);
    this.header = Buffer.concat([Uint8Array.of(streamHeaderBytes), random]);
    this.#key = streamKey(projectKey, this.header, associated);
  }

  /** Ciphertext in pieces and the tag, to be written one after the other. */
  seal(plaintext: Uint8Array, last: boolean): Buffer[] {
    const cipher = createCipheriv(algorithm, this.#key, nonceOf(this.header, this.#segment, last));
    this.#segment += 1;
    const sealed: Buffer[] = [];
    for (let start = 0; start < plaintext.length; start += pieceBytes) {
      sealed.push(cipher.update(plaintext.subarray(start, start + pieceBytes)));
    }
    cipher.final();
    sealed.push(cipher.getAuthTag());
    return sealed;
  }
}

/** Opens segments of one stream, in any order. */
export class SegmentOpener {
  readonly #header: Buffer;
  readonly #key: Uint8Array;
  readonly #last: number;

  constructor(projectKey: Key, header: Buffer, associated: string, plainBytes: number) {
    if (header.length !== streamHeaderBytes || header[0] !== streamHeaderBytes) throw unreadable();
    // The caller's buffer is used again for what comes later in the stream.
    this.#header = Buffer.from(header);
    this.#key = streamKey(projectKey, header, associated);
    this.#last = segmentCount(plainBytes) - 1;
  }

  open(segment: number, sealed: Buffer): Buffer {
    const nonce = nonceOf(this.#header, segment, segment === this.#last);
    const decipher = createDecipheriv(algorithm, this.#key, nonce);
    decipher.setAuthTag(sealed.subarray(sealed.length - tagBytes));
    const plaintext = decipher.update(sealed.subarray(0, sealed.length - tagBytes));
    try {
      decipher.final();
    } catch (cause) {
      throw unreadable(cause);
    }
    return plaintext;
  }
}

function streamKey(projectKey: Key, header: Buffer, associated: string): Uint8Array {
  const salt = header.subarray(1, 1 + saltBytes);
  return new Uint8Array(hkdfSync("sha256", projectKey.reveal(), salt, associated, 32));
}

/** Prefix, segment number, and 1 for the last segment: 12 bytes. */
function nonceOf(header: Buffer, segment: number, last: boolean): Buffer {
  const nonce = Buffer.alloc(12);
  header.copy(nonce, 0, 1 + saltBytes, streamHeaderBytes);
  nonce.writeUInt32BE(segment, prefixBytes);
  nonce[11] = last ? 1 : 0;
  return nonce;
}

export function unreadable(cause?: unknown): BiplaneError {
  return new BiplaneError(
    "data_loss",
    {
      what: "The object's content on disk is damaged.",
      why: "It is not what was written, or was moved from another object.",
      next: "Restore the object from a backup, or write it again.",
    },
    { cause, reason: "object_damaged" },
  );
}
