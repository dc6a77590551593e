/** Plaintext of a byte range of one stream, a segment at a time: only the segments that hold the range are read. */
import type { Key } from "@biplane/kit";
import {
  SegmentOpener,
  segmentAt,
  segmentBytes,
  segmentCount,
  segmentPlace,
  streamHeaderBytes,
  unreadable,
} from "./stream-cipher.ts";
import { noteStreamed } from "./stream-memory.ts";

export interface StreamSource {
  /** Fills the buffer with bytes of the stream on disk; gives the part that was filled. */
  read(offset: number, buffer: Buffer): Promise<Buffer>;
  /** The project's key, asked for each segment: a key disabled meanwhile stops the stream (claim CMK-1). */
  key(): Promise<Key>;
  readonly associated: string;
  readonly plainBytes: number;
}

/** Buffers for ciphertext, used again: new megabytes all the time cost more in collecting them than the cipher does. */
const spareBuffers: Buffer[] = [];
const spareBuffersMax = 32;

/** `first` and `last` are inclusive and within the stream. */
export async function* readRange(source: StreamSource, first: number, last: number): AsyncGenerator<Buffer> {
  const from = segmentAt(first);
  const to = Math.min(segmentAt(last).segment, segmentCount(source.plainBytes) - 1);
  const single = segmentCount(source.plainBytes) === 1;
  const buffers = single ? [smallBuffer(source)] : [takeBuffer(), takeBuffer()];
  let ahead = readSealed(source, from.segment, buffers[0]!);
  let plainStart = from.plainStart;
  try {
    const header =
      from.segment === 0 ? (await ahead).header : await source.read(0, Buffer.alloc(streamHeaderBytes));
    const opener = new SegmentOpener(await source.key(), header, source.associated, source.plainBytes);
    for (let segment = from.segment; segment <= to; segment += 1) {
      const { sealed } = await ahead;
      // The other buffer is free: what it held was decrypted into memory of its own.
      const other = buffers[(segment + 1 - from.segment) % 2];
      if (segment < to) ahead = readSealed(source, segment + 1, other!);
      await source.key();
      const plaintext = opener.open(segment, sealed);
      yield plaintext.subarray(Math.max(0, first - plainStart), last + 1 - plainStart);
      plainStart += plaintext.length;
      noteStreamed(plaintext.length);
    }
  } finally {
    // The reader may stop early; neither the file nor the buffers may be given away under a read.
    await ahead.catch(() => undefined);
    for (const buffer of buffers) giveBuffer(buffer);
  }
}

async function readSealed(
  source: StreamSource,
  segment: number,
  buffer: Buffer,
): Promise<{ header: Buffer; sealed: Buffer }> {
  const place = segmentPlace(segment, source.plainBytes);
  // The header and the first segment are neighbours: one read gets both.
  const start = segment === 0 ? 0 : place.offset;
  const end = place.offset + place.length;
  const bytes = await source.read(start, buffer.subarray(0, end - start));
  if (bytes.length < end - start) throw unreadable();
  return { header: bytes.subarray(0, place.offset - start), sealed: bytes.subarray(place.offset - start) };
}

function smallBuffer(source: StreamSource): Buffer {
  return Buffer.allocUnsafe(streamHeaderBytes + segmentPlace(0, source.plainBytes).length);
}

function takeBuffer(): Buffer {
  return spareBuffers.pop() ?? Buffer.allocUnsafeSlow(segmentBytes);
}

function giveBuffer(buffer: Buffer): void {
  if (buffer.length === segmentBytes && spareBuffers.length < spareBuffersMax) spareBuffers.push(buffer);
}
