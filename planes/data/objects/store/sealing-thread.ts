/**
 * The thread that digests, encrypts and writes large content. It takes a core's time per stream, which the thread that
 * answers requests must not spend.
 */
import { writevSync } from "node:fs";
import { type MessagePort, parentPort, workerData } from "node:worker_threads";
import { Secret } from "@biplane/base";
import { Digester } from "./digests.ts";
import { SegmentSealer } from "./stream-cipher.ts";
import { noteStreamed } from "./stream-memory.ts";

/** Marks the worker's data, so that importing this file elsewhere starts nothing. */
export const sealingThread = "sealing-thread";

export type SealingRequest =
  | {
      readonly kind: "open";
      readonly stream: number;
      readonly fileDescriptor: number;
      readonly key: Uint8Array;
      readonly associated: string;
      readonly withSha256: boolean;
    }
  | {
      readonly kind: "segment";
      readonly stream: number;
      readonly buffer: SharedArrayBuffer;
      readonly bytes: number;
      readonly last: boolean;
    }
  | { readonly kind: "close"; readonly stream: number };

/** One for each segment, in order. */
export type SealingAnswer =
  | { readonly kind: "written"; readonly stream: number }
  | {
      readonly kind: "finished";
      readonly stream: number;
      readonly sizeBytes: number;
      readonly md5: Uint8Array;
      readonly sha256: Uint8Array | undefined;
    }
  | {
      readonly kind: "failed";
      readonly stream: number;
      readonly code: string | undefined;
      readonly message: string;
    };

class Stream {
  readonly #fileDescriptor: number;
  readonly #sealer: SegmentSealer;
  readonly #digester: Digester;
  #position = 0;

  constructor(request: Extract<SealingRequest, { kind: "open" }>) {
    this.#fileDescriptor = request.fileDescriptor;
    this.#sealer = new SegmentSealer(new Secret(request.key), request.associated);
    this.#digester = new Digester(request.withSha256);
  }

  write(id: number, plaintext: Uint8Array, last: boolean): SealingAnswer {
    this.#digester.update(plaintext);
    const header = this.#position === 0 ? [this.#sealer.header] : [];
    this.#writeAll([...header, ...this.#sealer.seal(plaintext, last)]);
    noteStreamed(plaintext.length);
    if (!last) return { kind: "written", stream: id };
    const { sizeBytes, md5, sha256 } = this.#digester.finish();
    return { kind: "finished", stream: id, sizeBytes, md5, sha256 };
  }

  #writeAll(pieces: Uint8Array[]): void {
    const length = pieces.reduce((sum, piece) => sum + piece.length, 0);
    let written = writevSync(this.#fileDescriptor, pieces, this.#position);
    // A short write is what a disk that fills up gives; the next attempt then says so.
    for (const whole = Buffer.concat(written < length ? pieces : []); written < length; ) {
      written += writevSync(this.#fileDescriptor, [whole.subarray(written)], this.#position + written);
    }
    this.#position += length;
  }
}

function serve(port: MessagePort): void {
  const streams = new Map<number, Stream>();
  port.on("message", (request: SealingRequest) => {
    if (request.kind === "open") streams.set(request.stream, new Stream(request));
    if (request.kind === "close") streams.delete(request.stream);
    if (request.kind === "segment") port.postMessage(writeSegment(streams, request));
  });
}

function writeSegment(
  streams: ReadonlyMap<number, Stream>,
  { stream, buffer, bytes, last }: Extract<SealingRequest, { kind: "segment" }>,
): SealingAnswer {
  try {
    return streams.get(stream)!.write(stream, new Uint8Array(buffer, 0, bytes), last);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    return { kind: "failed", stream, code, message };
  }
}

if (parentPort !== null && workerData === sealingThread) serve(parentPort);
