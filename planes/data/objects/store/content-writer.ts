/** Turns a body into an encrypted stream in a file, one segment at a time; never more than two segments in memory. */
import type { FileHandle } from "node:fs/promises";
import type { Digester } from "./digests.ts";
import { type SegmentSealer, segmentBytes } from "./stream-cipher.ts";

/** Segment buffers in use again and again: allocating a megabyte each time costs as much as encrypting it. */
const spareBuffers: Buffer[] = [];
const spareBuffersMax = 16;

export async function writeSegments(
  file: FileHandle,
  sealer: SegmentSealer,
  body: AsyncIterable<Uint8Array>,
  digester: Digester,
): Promise<void> {
  const output = new SegmentOutput(file, sealer, digester);
  const buffer = spareBuffers.pop() ?? Buffer.allocUnsafeSlow(segmentBytes);
  try {
    let filled = 0;
    for await (const chunk of body) {
      for (let taken = 0; taken < chunk.length; ) {
        // A full segment is written only once more comes: the last one is marked as the last.
        if (filled === sealer.nextPlainBytes) {
          await output.write(buffer.subarray(0, filled), false);
          filled = 0;
        }
        const piece = chunk.subarray(taken, taken + sealer.nextPlainBytes - filled);
        buffer.set(piece, filled);
        filled += piece.length;
        taken += piece.length;
      }
    }
    await output.write(buffer.subarray(0, filled), true);
    await output.finish();
  } finally {
    await output.settle();
    if (spareBuffers.length < spareBuffersMax) spareBuffers.push(buffer);
  }
}

/** Writes one sealed segment while the next one is being filled. */
class SegmentOutput {
  readonly #file: FileHandle;
  readonly #sealer: SegmentSealer;
  readonly #digester: Digester;
  #position: number;
  #writing: Promise<void>;

  constructor(file: FileHandle, sealer: SegmentSealer, digester: Digester) {
    this.#file = file;
    this.#sealer = sealer;
    this.#digester = digester;
    this.#position = sealer.header.length;
    this.#writing = writeAll(file, [sealer.header], 0);
  }

  async write(plaintext: Uint8Array, last: boolean): Promise<void> {
    this.#digester.update(plaintext);
    const pieces = this.#sealer.seal(plaintext, last);
    await this.#writing;
    const position = this.#position;
    this.#position += pieces[0].length + pieces[1].length;
    this.#writing = writeAll(this.#file, pieces, position);
    // A failure is met at the next write; until then it must not count as unhandled.
    this.#writing.catch(() => undefined);
  }

  finish(): Promise<void> {
    return this.#writing;
  }

  /** Waits for a write under way whatever comes of it, so that the file can be closed. */
  async settle(): Promise<void> {
    await this.#writing.catch(() => undefined);
  }
}

async function writeAll(file: FileHandle, pieces: Uint8Array[], position: number): Promise<void> {
  const length = pieces.reduce((sum, piece) => sum + piece.length, 0);
  const { bytesWritten } = await file.writev(pieces, position);
  if (bytesWritten === length) return;
  // A short write is what a disk that fills up gives; the next attempt then says so.
  const whole = Buffer.concat(pieces);
  for (let done = bytesWritten; done < length; ) {
    done += (await file.write(whole, done, length - done, position + done)).bytesWritten;
  }
}
