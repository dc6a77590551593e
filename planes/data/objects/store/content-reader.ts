/** Plaintext of a byte range of one stream, a segment at a time: only the segments that hold the range are read. */
import type { Key } from "@biplane/kit";
import {
  SegmentOpener,
  segmentAt,
  segmentCount,
  segmentPlace,
  streamHeaderBytes,
  unreadable,
} from "./stream-cipher.ts";

export interface StreamSource {
  /** Bytes of the stream on disk. */
  read(offset: number, length: number): Promise<Buffer>;
  /** The project's key, asked for each segment: a key disabled meanwhile stops the stream (claim CMK-1). */
  key(): Promise<Key>;
  readonly associated: string;
  readonly plainBytes: number;
}

/** `first` and `last` are inclusive and within the stream. */
export async function* readRange(source: StreamSource, first: number, last: number): AsyncGenerator<Buffer> {
  const from = segmentAt(first);
  const to = Math.min(segmentAt(last).segment, segmentCount(source.plainBytes) - 1);
  let ahead = readSealed(source, from.segment);
  const header = from.segment === 0 ? (await ahead).header : await source.read(0, streamHeaderBytes);
  const opener = new SegmentOpener(await source.key(), header, source.associated, source.plainBytes);
  let plainStart = from.plainStart;
  try {
    for (let segment = from.segment; segment <= to; segment += 1) {
      const { sealed } = await ahead;
      if (segment < to) ahead = readSealed(source, segment + 1);
      await source.key();
      const plaintext = opener.open(segment, sealed);
      yield plaintext.subarray(Math.max(0, first - plainStart), last + 1 - plainStart);
      plainStart += plaintext.length;
    }
  } finally {
    // The reader may stop early; the file must not be closed under a read.
    await ahead.catch(() => undefined);
  }
}

async function readSealed(
  source: StreamSource,
  segment: number,
): Promise<{ header: Buffer; sealed: Buffer }> {
  const place = segmentPlace(segment, source.plainBytes);
  // The header and the first segment are neighbours: one read gets both.
  const start = segment === 0 ? 0 : place.offset;
  const end = place.offset + place.length;
  const bytes = await source.read(start, end - start);
  if (bytes.length < end - start) throw unreadable();
  return { header: bytes.subarray(0, place.offset - start), sealed: bytes.subarray(place.offset - start) };
}
