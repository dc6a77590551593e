/**
 * Tink's streaming encryption, AES-GCM-HKDF (https://developers.google.com/tink/streaming-aead): a header with salt and
 * nonce prefix, then segments, each sealed with its number and whether it is the last, so that segments can be read
 * singly and neither be reordered nor cut off. Any Tink reads these files given the project key.
 */
import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from "node:crypto";
import { BiplaneError } from "@biplane/base";
import type { Key } from "@biplane/kit";

/** What Tink calls the key's parameters. */
export interface StreamFormat {
  /** Of ciphertext; the first one shares its place with the header. */
  readonly segmentBytes: number;
  /** Of the stream's own key and of its salt: 16 or 32. */
  readonly keyBytes: 16 | 32;
  readonly hash: "sha1" | "sha256" | "sha512";
}

/** AES256_GCM_HKDF_1MB: the format of every stream on disk. */
const onDisk: StreamFormat = { segmentBytes: 1024 * 1024, keyBytes: 32, hash: "sha256" };

const prefixBytes = 7;
const tagBytes = 16;
/** Of output: smaller pieces cost a quarter more in calls, a whole megabyte at a time new memory from the system. */
const pieceBytes = 256 * 1024;

export const segmentBytes = onDisk.segmentBytes;
export const streamHeaderBytes = headerBytesOf(onDisk);

function headerBytesOf({ keyBytes }: StreamFormat): number {
  return 1 + keyBytes + prefixBytes;
}

/** Plaintext of a segment that is not the last. */
export function plainBytesOf(segment: number, format = onDisk): number {
  return format.segmentBytes - tagBytes - (segment === 0 ? headerBytesOf(format) : 0);
}

export function segmentCount(plainBytes: number, format = onDisk): number {
  const first = plainBytesOf(0, format);
  return plainBytes <= first ? 1 : 1 + Math.ceil((plainBytes - first) / plainBytesOf(1, format));
}

/** Length of the whole stream on disk. */
export function cipherBytes(plainBytes: number): number {
  return streamHeaderBytes + plainBytes + segmentCount(plainBytes) * tagBytes;
}

/** The segment that holds a plaintext offset, and where its plaintext begins. */
export function segmentAt(plainOffset: number): { readonly segment: number; readonly plainStart: number } {
  const beyondFirst = plainOffset - plainBytesOf(0);
  if (beyondFirst < 0) return { segment: 0, plainStart: 0 };
  const segment = 1 + Math.floor(beyondFirst / plainBytesOf(1));
  return { segment, plainStart: plainStartOf(segment, onDisk) };
}

/** Where a segment's ciphertext lies within the stream, header not counted. */
export function segmentPlace(
  segment: number,
  plainBytes: number,
  format = onDisk,
): { offset: number; length: number } {
  const offset = segment === 0 ? headerBytesOf(format) : segment * format.segmentBytes;
  const rest = plainBytes - plainStartOf(segment, format);
  return { offset, length: Math.min(plainBytesOf(segment, format), rest) + tagBytes };
}

function plainStartOf(segment: number, format: StreamFormat): number {
  return segment === 0 ? 0 : plainBytesOf(0, format) + (segment - 1) * plainBytesOf(1, format);
}

/** Seals the segments of one new stream, in order. */
export class SegmentSealer {
  readonly header: Buffer;
  readonly #format: StreamFormat;
  readonly #key: Uint8Array;
  #segment = 0;

  constructor(projectKey: Key, associated: string, format = onDisk) {
    const random = randomBytes(format.keyBytes + prefixBytes);
    this.header = Buffer.concat([Uint8Array.of(headerBytesOf(format)), random]);
    this.#format = format;
    this.#key = streamKey(projectKey, this.header, associated, format);
  }

  /** Ciphertext in pieces and the tag, to be written one after the other. */
  seal(plaintext: Uint8Array, last: boolean): Buffer[] {
    const nonce = nonceOf(this.header, this.#segment, last);
    const cipher = createCipheriv(algorithmOf(this.#format), this.#key, nonce);
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
  readonly #format: StreamFormat;
  readonly #key: Uint8Array;
  readonly #last: number;

  constructor(projectKey: Key, header: Buffer, associated: string, plainBytes: number, format = onDisk) {
    const headerBytes = headerBytesOf(format);
    if (header.length !== headerBytes || header[0] !== headerBytes) throw unreadable();
    // The caller's buffer is used again for what comes later in the stream.
    this.#header = Buffer.from(header);
    this.#format = format;
    this.#key = streamKey(projectKey, header, associated, format);
    this.#last = segmentCount(plainBytes, format) - 1;
  }

  open(segment: number, sealed: Buffer): Buffer {
    const nonce = nonceOf(this.#header, segment, segment === this.#last);
    const decipher = createDecipheriv(algorithmOf(this.#format), this.#key, nonce);
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

function streamKey(projectKey: Key, header: Buffer, associated: string, format: StreamFormat): Uint8Array {
  const { hash, keyBytes } = format;
  const salt = header.subarray(1, 1 + keyBytes);
  return new Uint8Array(hkdfSync(hash, projectKey.reveal(), salt, associated, keyBytes));
}

function algorithmOf({ keyBytes }: StreamFormat) {
  return keyBytes === 32 ? "aes-256-gcm" : "aes-128-gcm";
}

/** Prefix, segment number, and 1 for the last segment: 12 bytes. */
function nonceOf(header: Buffer, segment: number, last: boolean): Buffer {
  const nonce = Buffer.alloc(12);
  header.copy(nonce, 0, header.length - prefixBytes);
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
