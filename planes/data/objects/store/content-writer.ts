/** Turns a body into an encrypted stream in a file; never more than two segments of it are in memory. */
import type { Digests } from "./digests.ts";
import type { SealingTarget, SealingThreads } from "./sealing.ts";
import { plainBytesOf } from "./stream-cipher.ts";
import { noteStreamed } from "./stream-memory.ts";

export interface SegmentsTarget extends SealingTarget {
  /** Hears how many more bytes are on their way into the file. */
  readonly noteWritten: (bytes: number) => void;
}

export async function writeSegments(
  threads: SealingThreads,
  target: SegmentsTarget,
  body: AsyncIterable<Uint8Array>,
): Promise<Digests> {
  const stream = await threads.open(target);
  try {
    let segment = stream.newSegment();
    let filled = 0;
    let count = 0;
    for await (const chunk of body) {
      for (let taken = 0; taken < chunk.length; ) {
        // A full segment is written only once more comes: the last one is marked as the last.
        if (filled === plainBytesOf(count)) {
          await stream.write(segment, filled, false);
          noteStreamed(filled);
          target.noteWritten(filled);
          segment = stream.newSegment();
          filled = 0;
          count += 1;
        }
        const piece = chunk.subarray(taken, taken + plainBytesOf(count) - filled);
        segment.set(piece, filled);
        filled += piece.length;
        taken += piece.length;
      }
    }
    return (await stream.write(segment, filled, true))!;
  } finally {
    await stream.close();
  }
}
