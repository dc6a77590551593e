/** What is done to a journal's newest segment when it is opened after a crash. */
import { open, truncate } from "node:fs/promises";
import type { Key } from "./crypto.ts";
import { damaged } from "./journal-errors.ts";
import { segmentHeaderBytes } from "./journal-frame.ts";
import { readFrames, type Segment } from "./journal-segment.ts";

/** Cuts off what a crash left half-written at the end, and finds the last sequence. New records go to a new segment. */
export async function recoverJournal(key: Key, name: string, segments: Segment[]): Promise<bigint> {
  for (;;) {
    const segment = segments.at(-1);
    if (segment === undefined) return 0n;
    let next = segment.firstSequence;
    let end = segmentHeaderBytes;
    for await (const frame of readFrames(segment, key, name, { fromSequence: next })) {
      if (frame.kind === "damaged") throw damaged(segment, next);
      if (frame.kind === "torn") {
        await cutOff(segment, frame.offset);
        break;
      }
      if (frame.header.firstSequence !== next) throw damaged(segment, next);
      next += BigInt(frame.header.count);
      end = frame.end;
    }
    if (end > segmentHeaderBytes) return next - 1n;
    // An empty segment's file stays until the next one takes its name: it may be all that remembers the sequence.
    segments.pop();
    if (segments.length === 0) return segment.firstSequence - 1n;
  }
}

async function cutOff(segment: Segment, offset: number): Promise<void> {
  await truncate(segment.path, offset);
  const file = await open(segment.path, "r+");
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}
