/**
 * Finds the server name in a TLS ClientHello (RFC 8446, 4.1.2; RFC 6066, 3) without taking part in the handshake. The
 * bytes are only looked at: they go on unchanged. Pure.
 */
import { normalizeHostName, tunnelLimits } from "@biplane/tunnel-protocol";

export type ClientHelloParse =
  | { readonly kind: "hello"; readonly serverName: string | undefined }
  /** At least `bytesNeeded` in total are needed before looking again is worth while. */
  | { readonly kind: "incomplete"; readonly bytesNeeded: number }
  | { readonly kind: "invalid"; readonly why: string };

const recordHeaderBytes = 5;
const recordBytesMax = 16_384;
const handshakeRecord = 22;
const handshakeHeaderBytes = 4;
const clientHello = 1;
const serverNameExtension = 0;
const hostNameKind = 0;

export function parseClientHello(
  data: Buffer,
  bytesMax: number = tunnelLimits.clientHelloBytesMax,
): ClientHelloParse {
  const collected = collectHandshake(data, bytesMax);
  if (Array.isArray(collected)) return parseMessage(Buffer.concat(collected));
  return collected;
}

/** Puts the message together from its records: a client may cut it anywhere. */
function collectHandshake(data: Buffer, bytesMax: number): Buffer[] | ClientHelloParse {
  const fragments: Buffer[] = [];
  let collectedBytes = 0;
  let neededBytes = handshakeHeaderBytes;
  for (let offset = 0; ; ) {
    const problem = checkRecordHeader(data, offset);
    if (problem !== undefined) return { kind: "invalid", why: problem };
    const headerEnd = offset + recordHeaderBytes;
    if (data.length < headerEnd) return incomplete(headerEnd, bytesMax);
    const end = headerEnd + data.readUInt16BE(offset + 3);
    const fragment = data.subarray(headerEnd, end);
    fragments.push(fragment);
    collectedBytes += fragment.length;
    if (collectedBytes >= handshakeHeaderBytes) {
      const message = fragments.length === 1 ? fragment : Buffer.concat(fragments);
      if (message[0] !== clientHello) return { kind: "invalid", why: "the first message is no ClientHello" };
      neededBytes = handshakeHeaderBytes + message.readUIntBE(1, 3);
      if (neededBytes > bytesMax) return tooLong(bytesMax);
    }
    if (collectedBytes >= neededBytes) return fragments;
    if (data.length < end)
      return incomplete(Math.min(end, data.length + neededBytes - collectedBytes), bytesMax);
    offset = end;
  }
}

/** Judges the bytes that are there, so that a plaintext client is told apart by its first byte. */
function checkRecordHeader(data: Buffer, offset: number): string | undefined {
  const [type, major] = data.subarray(offset, offset + 2);
  if (type !== undefined && type !== handshakeRecord) return "it does not begin like TLS";
  if (major !== undefined && major !== 3) return "its TLS version is not known";
  if (data.length < offset + recordHeaderBytes) return undefined;
  const length = data.readUInt16BE(offset + 3);
  // An empty record would let a client send headers forever without coming nearer to a message.
  if (length === 0 || length > recordBytesMax) return "a record's length is out of bounds";
  return undefined;
}

function incomplete(bytesNeeded: number, bytesMax: number): ClientHelloParse {
  return bytesNeeded > bytesMax ? tooLong(bytesMax) : { kind: "incomplete", bytesNeeded };
}

function tooLong(bytesMax: number): ClientHelloParse {
  return { kind: "invalid", why: `the ClientHello is longer than ${bytesMax} bytes` };
}

function parseMessage(message: Buffer): ClientHelloParse {
  const end = handshakeHeaderBytes + message.readUIntBE(1, 3);
  const reader = new Reader(message.subarray(handshakeHeaderBytes, end));
  try {
    reader.skip(2 + 32);
    reader.vector(1);
    reader.vector(2);
    reader.vector(1);
    return { kind: "hello", serverName: reader.ended ? undefined : findServerName(reader.vector(2)) };
  } catch {
    return { kind: "invalid", why: "the ClientHello's fields do not add up" };
  }
}

function findServerName(extensions: Reader): string | undefined {
  while (!extensions.ended) {
    const type = extensions.number(2);
    const content = extensions.vector(2);
    if (type !== serverNameExtension) continue;
    const names = content.vector(2);
    while (!names.ended) {
      const kind = names.number(1);
      const name = names.vector(2);
      if (kind === hostNameKind) return normalizeHostName(name.text());
    }
  }
  return undefined;
}

/** Reads TLS's presentation language; running past the end throws a RangeError. */
class Reader {
  readonly #bytes: Buffer;
  #offset = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get ended(): boolean {
    return this.#offset >= this.#bytes.length;
  }

  skip(count: number): void {
    this.#take(count);
  }

  number(size: number): number {
    return this.#take(size).readUIntBE(0, size);
  }

  /** A length of `size` bytes and as much content. */
  vector(size: number): Reader {
    return new Reader(this.#take(this.number(size)));
  }

  text(): string {
    return this.#bytes.toString("latin1");
  }

  #take(count: number): Buffer {
    const end = this.#offset + count;
    if (end > this.#bytes.length) throw new RangeError("past the end");
    const taken = this.#bytes.subarray(this.#offset, end);
    this.#offset = end;
    return taken;
  }
}
