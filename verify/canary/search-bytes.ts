/** Looks for canaries in a stretch of bytes, compressed streams within it included. */
import { inflateRawSync, inflateSync, zstdDecompressSync } from "node:zlib";
import { MiB } from "@biplane/base";
import type { CanaryForm } from "./forms.ts";

export interface Sighting {
  readonly canary: string;
  readonly form: string;
  /** Where: a file, a process's memory range, a table. */
  readonly place: string;
  readonly offset: number;
}

const inflatedBytesMax = 64 * MiB;
const streamsPerBufferMax = 10_000;

const compressions = [
  { name: "gzip", magic: Buffer.from([0x1f, 0x8b, 0x08]), inflate: inflateGzipBody },
  { name: "zlib", magic: Buffer.from([0x78, 0x9c]), inflate: inflateSync },
  { name: "zlib", magic: Buffer.from([0x78, 0x01]), inflate: inflateSync },
  { name: "zlib", magic: Buffer.from([0x78, 0xda]), inflate: inflateSync },
  { name: "zstd", magic: Buffer.from([0x28, 0xb5, 0x2f, 0xfd]), inflate: zstdDecompressSync },
] as const;

/** Every form of every canary, once each at its first place; streams found by their magic are inflated and searched. */
export function searchBytes(bytes: Buffer, forms: readonly CanaryForm[], place: string): Sighting[] {
  const sightings = searchPlain(bytes, forms, place);
  for (const { name, magic, inflate } of compressions) {
    for (const offset of occurrences(bytes, magic, streamsPerBufferMax)) {
      const content = tryInflate(inflate, bytes.subarray(offset));
      if (content === undefined) continue;
      sightings.push(...searchPlain(content, forms, `${place}, ${name} stream at ${offset}`));
    }
  }
  return sightings;
}

function searchPlain(bytes: Buffer, forms: readonly CanaryForm[], place: string): Sighting[] {
  const sightings: Sighting[] = [];
  for (const { canary, form, bytes: wanted } of forms) {
    const offset = bytes.indexOf(wanted);
    if (offset >= 0) sightings.push({ canary, form, place, offset });
  }
  return sightings;
}

function* occurrences(bytes: Buffer, magic: Buffer, most: number): Generator<number> {
  let offset = bytes.indexOf(magic);
  for (let count = 0; offset >= 0 && count < most; count += 1) {
    yield offset;
    offset = bytes.indexOf(magic, offset + 1);
  }
}

/** Not `gunzipSync`: it takes whatever follows the stream for another member and fails on it. RFC 1952, section 2.3. */
function inflateGzipBody(bytes: Buffer, options: { maxOutputLength: number; finishFlush?: number }): Buffer {
  const flags = bytes[3] ?? 0;
  let offset = 10;
  if (flags & 0x04) offset += 2 + bytes.readUInt16LE(offset);
  if (flags & 0x08) offset = bytes.indexOf(0, offset) + 1;
  if (flags & 0x10) offset = bytes.indexOf(0, offset) + 1;
  if (flags & 0x02) offset += 2;
  return inflateRawSync(bytes.subarray(offset), options);
}

/** Undefined where the magic was chance. A stream cut off by the end of the buffer gives what there is. */
function tryInflate(
  inflate: (bytes: Buffer, options: { maxOutputLength: number; finishFlush?: number }) => Buffer,
  bytes: Buffer,
): Buffer | undefined {
  try {
    const content = inflate(bytes, { maxOutputLength: inflatedBytesMax, finishFlush: 2 });
    return content.length > 0 ? content : undefined;
  } catch {
    return undefined;
  }
}
