/**
 * The `aws-chunked` encoding of streamed uploads: chunks with their length, each signed where the body is, and trailing
 * headers. https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html
 */
import { createHash, type Hash } from "node:crypto";
import { equalInConstantTime, MiB } from "@biplane/base";
import type { SignatureChain } from "./authenticate.ts";
import { S3Error } from "./s3-error.ts";
import { signChunk, signTrailer } from "./signature.ts";

export interface ChunkedOptions {
  /** Where chunks have to be signed. */
  readonly chain: SignatureChain | undefined;
  readonly withTrailer: boolean;
  readonly onTrailer: (name: string, value: string) => void;
}

const chunkBytesMax = 64 * MiB;
const lineBytesMax = 1_024;
const trailersMax = 16;

export async function* decodeChunked(
  body: AsyncIterable<Uint8Array>,
  options: ChunkedOptions,
): AsyncGenerator<Uint8Array> {
  const input = new ChunkInput(body);
  let before = options.chain?.seed ?? "";
  for (;;) {
    const { length, signature } = parseChunkLine(await input.line());
    const hash = options.chain === undefined ? undefined : createHash("sha256");
    yield* chunkBytes(input, length, hash);
    if (options.chain !== undefined) {
      const { key, time, scope } = options.chain;
      const expected = signChunk(key, time, scope, before, hash!.digest("hex"));
      requireSignature(signature, expected);
      before = expected;
    }
    if (length === 0) break;
    if ((await input.line()) !== "") throw broken();
  }
  if (options.withTrailer) await readTrailers(input, options, before);
  await input.end();
}

async function* chunkBytes(
  input: ChunkInput,
  length: number,
  hash: Hash | undefined,
): AsyncGenerator<Uint8Array> {
  for (let left = length; left > 0; ) {
    const bytes = await input.some(left);
    hash?.update(bytes);
    left -= bytes.length;
    yield bytes;
  }
}

/** Name and value lines up to an empty one; the last is their signature where the body is signed. */
async function readTrailers(input: ChunkInput, options: ChunkedOptions, before: string): Promise<void> {
  let signedText = "";
  let signature: string | undefined;
  for (let count = 0; ; count += 1) {
    const line = await input.lineOrEnd();
    if (line === undefined || line === "") break;
    const colon = line.indexOf(":");
    if (colon < 1 || count >= trailersMax) throw broken();
    const name = line.slice(0, colon).trim().toLowerCase();
    const value = line.slice(colon + 1).trim();
    if (name === "x-amz-trailer-signature") {
      signature = value;
      continue;
    }
    signedText += `${name}:${value}\n`;
    options.onTrailer(name, value);
  }
  if (options.chain === undefined) return;
  const { key, time, scope } = options.chain;
  requireSignature(signature, signTrailer(key, time, scope, before, signedText));
}

function parseChunkLine(line: string): { length: number; signature: string | undefined } {
  const match = /^([0-9a-fA-F]{1,8})(?:;chunk-signature=([0-9a-f]{64}))?$/.exec(line);
  if (match === null) throw broken();
  const length = Number.parseInt(match[1]!, 16);
  if (length > chunkBytesMax) throw new S3Error("InvalidRequest", "A chunk is larger than 64 MiB.");
  return { length, signature: match[2] };
}

function requireSignature(signature: string | undefined, expected: string): void {
  const same = equalInConstantTime(Buffer.from(signature ?? ""), Buffer.from(expected));
  if (!same)
    throw new S3Error(
      "SignatureDoesNotMatch",
      "A chunk's signature is not the one that the store calculates.",
    );
}

function broken(): S3Error {
  return new S3Error("IncompleteBody", "The aws-chunked body ends early or is malformed.");
}

/** Reads lines and bytes off a stream; holds one piece of it at a time. */
class ChunkInput {
  readonly #iterator: AsyncIterator<Uint8Array>;
  #piece: Buffer = Buffer.alloc(0);

  constructor(body: AsyncIterable<Uint8Array>) {
    this.#iterator = body[Symbol.asyncIterator]();
  }

  async line(): Promise<string> {
    const line = await this.lineOrEnd();
    if (line === undefined) throw broken();
    return line;
  }

  /** Undefined at the end of the stream. */
  async lineOrEnd(): Promise<string | undefined> {
    let end = this.#piece.indexOf("\r\n");
    while (end < 0) {
      if (this.#piece.length > lineBytesMax) throw broken();
      const more = await this.#next();
      if (more === undefined) {
        if (this.#piece.length > 0) throw broken();
        return undefined;
      }
      this.#piece = Buffer.concat([this.#piece, more]);
      end = this.#piece.indexOf("\r\n");
    }
    const line = this.#piece.toString("latin1", 0, end);
    this.#piece = this.#piece.subarray(end + 2);
    return line;
  }

  /** At least one byte, at most so many. */
  async some(bytesMax: number): Promise<Uint8Array> {
    while (this.#piece.length === 0) {
      const more = await this.#next();
      if (more === undefined) throw broken();
      this.#piece = more;
    }
    const bytes = this.#piece.subarray(0, bytesMax);
    this.#piece = this.#piece.subarray(bytes.length);
    return bytes;
  }

  /** Refuses what comes behind the encoding's end: it was in no signature. */
  async end(): Promise<void> {
    while (this.#piece.length === 0) {
      const more = await this.#next();
      if (more === undefined) return;
      this.#piece = more;
    }
    if (this.#piece.toString("latin1") !== "\r\n") throw broken();
  }

  async #next(): Promise<Buffer | undefined> {
    const { value, done } = await this.#iterator.next();
    return done ? undefined : Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  }
}
