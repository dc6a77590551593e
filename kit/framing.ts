/**
 * Messages on a byte stream, each behind its length as a varint (the framing of protobuf's delimited streams), with a
 * bound on what a peer may announce.
 */
import { BiplaneError } from "@biplane/base";

/** Length and message, to be written together. */
export function frameMessage(message: Uint8Array): Uint8Array {
  const head: number[] = [];
  let rest = message.length;
  while (rest > 0x7f) {
    head.push((rest % 0x80) | 0x80);
    rest = Math.floor(rest / 0x80);
  }
  head.push(rest);
  return Buffer.concat([Uint8Array.from(head), message]);
}

const lengthBytesMax = 5;

/** Cuts a stream into its messages. Keeps chunks as they came until a message is whole: no copy per chunk. */
export class MessageSplitter {
  readonly #bytesMax: number;
  #chunks: Uint8Array[] = [];
  #heldBytes = 0;
  #wantedBytes: number | undefined;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** The messages that the chunk completes. Throws where a length is above the bound: the peer can't be trusted. */
  push(chunk: Uint8Array): Uint8Array[] {
    this.#chunks.push(chunk);
    this.#heldBytes += chunk.length;
    const messages: Uint8Array[] = [];
    for (;;) {
      this.#wantedBytes ??= this.#takeLength();
      if (this.#wantedBytes === undefined || this.#heldBytes < this.#wantedBytes) return messages;
      messages.push(this.#take(this.#wantedBytes));
      this.#wantedBytes = undefined;
    }
  }

  #takeLength(): number | undefined {
    const start = this.#peek(lengthBytesMax);
    let length = 0;
    for (const [index, byte] of start.entries()) {
      length += (byte & 0x7f) * 2 ** (7 * index);
      if (byte < 0x80) {
        if (length > this.#bytesMax) throw tooLong(length, this.#bytesMax);
        this.#take(index + 1);
        return length;
      }
    }
    if (start.length === lengthBytesMax) throw tooLong(length, this.#bytesMax);
    return undefined;
  }

  #peek(count: number): Uint8Array {
    const first = this.#chunks[0];
    if (first !== undefined && first.length >= count) return first.subarray(0, count);
    return Buffer.concat(this.#chunks).subarray(0, count);
  }

  #take(count: number): Uint8Array {
    const whole = this.#chunks.length === 1 ? this.#chunks[0]! : Buffer.concat(this.#chunks);
    const rest = whole.subarray(count);
    this.#chunks = rest.length === 0 ? [] : [rest];
    this.#heldBytes = rest.length;
    return whole.subarray(0, count);
  }
}

function tooLong(length: number, bytesMax: number): BiplaneError {
  return new BiplaneError("resource_exhausted", {
    what: `A message of ${length} bytes was announced.`,
    why: `${bytesMax} is the most that is taken.`,
  });
}
