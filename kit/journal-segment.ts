/** One segment file of a journal: its name, and reading its frames in order, a bounded piece at a time. */
import { type FileHandle, open } from "node:fs/promises";
import { join } from "node:path";
import type { Key } from "./crypto.ts";
import {
  decodeFrame,
  decodeFrameHeader,
  type FrameHeader,
  frameHeaderBytes,
  hasLostSector,
  segmentHeaderBytes,
  segmentKey,
} from "./journal-frame.ts";

export interface Segment {
  readonly path: string;
  readonly firstSequence: bigint;
}

/** What stands at a place of a segment. `torn`: a write that a crash cut short. `damaged`: nothing Biplane wrote. */
export type FrameRead =
  | {
      readonly kind: "frame";
      readonly header: FrameHeader;
      readonly records: Uint8Array[];
      readonly end: number;
    }
  | { readonly kind: "torn"; readonly offset: number }
  | { readonly kind: "damaged"; readonly offset: number };

const extension = ".journal";

export function segmentAt(folder: string, name: string, firstSequence: bigint): Segment {
  const file = `${name}-${firstSequence.toString().padStart(20, "0")}${extension}`;
  return { path: join(folder, file), firstSequence };
}

/** The segments among the folder's files, oldest first. */
export function findSegments(folder: string, name: string, files: readonly string[]): Segment[] {
  const segments: Segment[] = [];
  for (const file of [...files].sort()) {
    const digits = file.slice(name.length + 1, -extension.length);
    if (!file.startsWith(`${name}-`) || !file.endsWith(extension) || !/^\d{20}$/.test(digits)) continue;
    segments.push({ path: join(folder, file), firstSequence: BigInt(digits) });
  }
  return segments;
}

/**
 * Frames from `from` on, up to `endOffset` of the file; the frames before `fromSequence` are passed over without
 * decrypting. Ends after the first piece that is no frame.
 */
export async function* readFrames(
  segment: Segment,
  key: Key,
  name: string,
  place: { readonly fromSequence: bigint; readonly offset?: number; readonly endOffset?: number },
): AsyncGenerator<FrameRead> {
  const file = await open(segment.path, "r");
  try {
    const end = place.endOffset ?? (await file.stat()).size;
    const bytes = new FileWindow(file, end);
    const header = await bytes.take(0, Math.min(segmentHeaderBytes, end));
    const frameKey = segmentKey(key, name, segment.firstSequence, header);
    if (frameKey === undefined) {
      const torn = header.length < segmentHeaderBytes || hasLostSector(header, 0);
      yield { kind: torn ? "torn" : "damaged", offset: 0 };
      return;
    }
    let offset = place.offset ?? segmentHeaderBytes;
    while (offset < end) {
      const read = await readFrame(bytes, frameKey, offset, end, place.fromSequence);
      if (read === undefined) return;
      if (read.kind !== "frame") {
        yield read;
        return;
      }
      offset = read.end;
      if (read.header.firstSequence + BigInt(read.header.count) > place.fromSequence) yield read;
    }
  } finally {
    await file.close();
  }
}

async function readFrame(
  bytes: FileWindow,
  key: Key,
  offset: number,
  end: number,
  fromSequence: bigint,
): Promise<FrameRead | undefined> {
  if (end - offset < frameHeaderBytes) return { kind: "torn", offset };
  const headerBytes = await bytes.take(offset, frameHeaderBytes);
  const header = decodeFrameHeader(headerBytes);
  const bodyStart = offset + frameHeaderBytes;
  if (header === undefined) {
    const rest = await bytes.take(offset, Math.min(end - offset, 4096));
    return { kind: hasLostSector(rest, offset) ? "torn" : "damaged", offset };
  }
  const frameEnd = bodyStart + header.bodyBytes;
  if (frameEnd > end) return { kind: "torn", offset };
  if (header.firstSequence + BigInt(header.count) <= fromSequence) {
    return { kind: "frame", header, records: [], end: frameEnd };
  }
  const body = await bytes.take(bodyStart, header.bodyBytes);
  const records = decodeFrame(key, headerBytes, body);
  if (records !== undefined) return { kind: "frame", header, records, end: frameEnd };
  return { kind: frameEnd === end && hasLostSector(body, bodyStart) ? "torn" : "damaged", offset };
}

/** Reads ahead, so that many small frames don't cost one system call each. */
class FileWindow {
  static readonly #aheadBytes = 256 * 1024;
  readonly #file: FileHandle;
  readonly #end: number;
  #bytes = Buffer.alloc(0);
  #start = 0;

  constructor(file: FileHandle, end: number) {
    this.#file = file;
    this.#end = end;
  }

  /** The bytes stay valid: a window is never overwritten, only replaced. */
  async take(offset: number, length: number): Promise<Buffer> {
    if (offset < this.#start || offset + length > this.#start + this.#bytes.length) {
      const size = Math.min(this.#end - offset, Math.max(length, FileWindow.#aheadBytes));
      const window = Buffer.alloc(size);
      const { bytesRead } = await this.#file.read(window, 0, size, offset);
      this.#bytes = window.subarray(0, bytesRead);
      this.#start = offset;
    }
    return this.#bytes.subarray(offset - this.#start, offset - this.#start + length);
  }
}
