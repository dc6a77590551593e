/**
 * The bytes of a journal's segment file. A header (magic, salt) gives the segment its own key; then come frames, one
 * per synced write: a header in clear with its own checksum, and the records, encrypted together. Because a frame's
 * length is checked before it is believed, a write that a crash cut short and a damaged file are told apart.
 */
import { createCipheriv, createDecipheriv } from "node:crypto";
import { crc32 } from "node:zlib";
import { deriveKey, type Key } from "./crypto.ts";

const magic = Buffer.from("BPJ1");
const saltBytes = 32;
export const segmentHeaderBytes = magic.length + saltBytes;
/** First sequence (8), record count (4), body length (4), CRC-32 of those (4). */
export const frameHeaderBytes = 20;
const tagBytes = 16;
const nonceBytes = 12;
const sectorBytes = 512;

export interface FrameHeader {
  readonly firstSequence: bigint;
  readonly count: number;
  /** Ciphertext and tag. */
  readonly bodyBytes: number;
}

export function encodeSegmentHeader(salt: Uint8Array): Buffer {
  return Buffer.concat([magic, salt]);
}

/** The segment's key, or undefined where the header is not one. */
export function segmentKey(key: Key, name: string, firstSequence: bigint, header: Buffer): Key | undefined {
  if (header.length < segmentHeaderBytes || !header.subarray(0, magic.length).equals(magic)) return undefined;
  const salt = header.subarray(magic.length, segmentHeaderBytes);
  return deriveKey(key, `journal segment ${name} ${firstSequence}`, salt);
}

/** One frame. Its nonce is its first sequence: a segment's key never seals the same sequence twice. */
export function encodeFrame(key: Key, firstSequence: bigint, records: readonly Uint8Array[]): Buffer {
  const plaintext = packRecords(records);
  const header = Buffer.alloc(frameHeaderBytes);
  header.writeBigUInt64BE(firstSequence, 0);
  header.writeUInt32BE(records.length, 8);
  header.writeUInt32BE(plaintext.length + tagBytes, 12);
  header.writeUInt32BE(crc32(header.subarray(0, 16)), 16);
  const cipher = createCipheriv("aes-256-gcm", key.reveal(), nonceOf(firstSequence));
  cipher.setAAD(header);
  const body = cipher.update(plaintext);
  return Buffer.concat([header, body, cipher.final(), cipher.getAuthTag()]);
}

/** Undefined where the checksum does not fit. */
export function decodeFrameHeader(bytes: Buffer): FrameHeader | undefined {
  if (bytes.readUInt32BE(16) !== crc32(bytes.subarray(0, 16))) return undefined;
  return {
    firstSequence: bytes.readBigUInt64BE(0),
    count: bytes.readUInt32BE(8),
    bodyBytes: bytes.readUInt32BE(12),
  };
}

/** The frame's records, or undefined where its bytes are not what was written. */
export function decodeFrame(key: Key, header: Buffer, body: Buffer): Uint8Array[] | undefined {
  const decipher = createDecipheriv("aes-256-gcm", key.reveal(), nonceOf(header.readBigUInt64BE(0)));
  decipher.setAAD(header);
  decipher.setAuthTag(body.subarray(body.length - tagBytes));
  const plaintext = decipher.update(body.subarray(0, body.length - tagBytes));
  try {
    decipher.final();
  } catch {
    return undefined;
  }
  return unpackRecords(plaintext);
}

/**
 * Whether bytes at a segment's end can be what a power cut leaves of a write: a file system may have grown the file
 * before the data reached it, which leaves whole sectors of zeros. Ciphertext never has those.
 */
export function hasLostSector(bytes: Buffer, offset: number): boolean {
  const zeros = Buffer.alloc(sectorBytes);
  for (let start = 0; start < bytes.length; ) {
    const end = Math.min(bytes.length, start + sectorBytes - ((offset + start) % sectorBytes));
    const whole = end - start >= frameHeaderBytes;
    if (whole && bytes.subarray(start, end).equals(zeros.subarray(0, end - start))) return true;
    start = end;
  }
  return false;
}

/** Used again for each frame that fits: a new buffer for each, outside of V8's heap, would be a burden on its collector. */
const packingRoom = Buffer.allocUnsafeSlow(64 * 1024);

/** Each after its length in four bytes. What it gives is good until it is called again. */
function packRecords(records: readonly Uint8Array[]): Buffer {
  const bytes = records.reduce((sum, record) => sum + 4 + record.length, 0);
  const packed = bytes <= packingRoom.length ? packingRoom.subarray(0, bytes) : Buffer.allocUnsafe(bytes);
  let offset = 0;
  for (const record of records) {
    offset = packed.writeUInt32BE(record.length, offset);
    packed.set(record, offset);
    offset += record.length;
  }
  return packed;
}

function unpackRecords(plaintext: Buffer): Uint8Array[] {
  const records: Uint8Array[] = [];
  for (let offset = 0; offset < plaintext.length; ) {
    const start = offset + 4;
    offset = start + plaintext.readUInt32BE(offset);
    records.push(plaintext.subarray(start, offset));
  }
  return records;
}

function nonceOf(sequence: bigint): Buffer {
  const nonce = Buffer.alloc(nonceBytes);
  nonce.writeBigUInt64BE(sequence, nonceBytes - 8);
  return nonce;
}
