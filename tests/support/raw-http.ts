/** Speaks HTTP byte by byte over TLS, as no library would: for tests of what a server makes of it. */
import { once } from "node:events";
import { connect, type TLSSocket } from "node:tls";

export interface RawTarget {
  readonly port: number;
  readonly rootPem: string;
}

export interface RawAnswer {
  readonly bytes: Buffer;
  /** Whether the server ended the connection. */
  readonly ended: boolean;
}

/** Opens a connection that does not break when the other side ends it. */
export async function openRaw({ port, rootPem }: RawTarget, protocol: string): Promise<TLSSocket> {
  const socket = connect({
    ...{ port, host: "127.0.0.1", servername: "localhost", ca: rootPem },
    ALPNProtocols: [protocol],
  });
  await once(socket, "secureConnect");
  socket.on("error", () => {});
  return socket;
}

export interface Listening {
  /** How long the server may say nothing before it counts as all that it says. */
  readonly silenceMs?: number;
  /** Whether it has said what one waits for. */
  readonly isEnough?: (bytes: Buffer) => boolean;
}

/** Sends the bytes as they are; resolves when the server ends the connection, has said enough, or nothing for a while. */
export async function exchange(
  target: RawTarget,
  protocol: "http/1.1" | "h2",
  bytes: Buffer,
  { silenceMs = 700, isEnough }: Listening = {},
): Promise<RawAnswer> {
  const socket = await openRaw(target, protocol);
  const chunks: Buffer[] = [];
  return new Promise((resolve) => {
    const finish = (ended: boolean) => {
      clearTimeout(timer);
      socket.destroy();
      resolve({ bytes: Buffer.concat(chunks), ended });
    };
    const timer = setTimeout(() => finish(false), silenceMs);
    socket.on("data", (chunk: Buffer) => {
      chunks.push(chunk);
      timer.refresh();
      if (isEnough?.(Buffer.concat(chunks))) finish(false);
    });
    socket.once("close", () => finish(true));
    socket.once("end", () => finish(true));
    socket.write(bytes);
  });
}

/** Status codes of all answers of HTTP/1.1 in these bytes. */
export function statusesIn({ bytes }: RawAnswer): number[] {
  return [...bytes.toString("latin1").matchAll(/^HTTP\/1\.[01] (\d{3})/gm)].map((match) => Number(match[1]));
}

export const frameTypes = { data: 0, headers: 1, reset: 3, settings: 4, ping: 6, goAway: 7, continuation: 9 };
export const endStream = 0x1;
export const endHeaders = 0x4;

/** RFC 9113 section 4.1. */
export function frame(type: number, flags: number, stream: number, payload: Uint8Array = Buffer.alloc(0)) {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

export const preface = Buffer.concat([
  Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
  frame(frameTypes.settings, 0, 0),
]);

export type Fields = readonly (readonly [name: string, value: string])[];

/** RFC 7541: every field literally, without an index and without Huffman, so that nothing mends it on the way. */
export function fieldBlock(fields: Fields): Buffer {
  return Buffer.concat(fields.flatMap(([name, value]) => [Buffer.of(0), literal(name), literal(value)]));
}

function literal(text: string): Buffer {
  const bytes = Buffer.from(text, "latin1");
  return Buffer.concat([prefixed(bytes.length), bytes]);
}

/** An integer with a prefix of seven bits. */
function prefixed(value: number): Buffer {
  if (value < 127) return Buffer.of(value);
  const bytes = [127];
  let rest = value - 127;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128);
  return Buffer.from([...bytes, rest]);
}

/** One request of one HEADERS frame, without a body. */
export function headersFrame(fields: Fields, stream = 1): Buffer {
  return frame(frameTypes.headers, endStream | endHeaders, stream, fieldBlock(fields));
}

export interface Frame {
  readonly type: number;
  readonly stream: number;
  readonly payload: Buffer;
}

export function framesIn({ bytes }: Pick<RawAnswer, "bytes">): Frame[] {
  const frames: Frame[] = [];
  for (let at = 0; at + 9 <= bytes.length; ) {
    const length = bytes.readUIntBE(at, 3);
    const payload = bytes.subarray(at + 9, at + 9 + length);
    frames.push({ type: bytes[at + 3]!, stream: bytes.readUInt32BE(at + 5), payload });
    at += 9 + length;
  }
  return frames;
}

/** The statuses that HPACK's static table has (RFC 7541 appendix A), and those that are written out. */
const staticStatuses: Readonly<Record<number, number>> = {
  136: 200,
  137: 204,
  138: 206,
  139: 304,
  140: 400,
  141: 404,
  142: 500,
};

/** Status of each answer of HTTP/2; a server that answers begins its block with it. Written out ones count as 0. */
export function http2StatusesIn(answer: RawAnswer): number[] {
  return framesIn(answer)
    .filter(({ type }) => type === frameTypes.headers)
    .map(({ payload }) => staticStatuses[payload[0]!] ?? 0);
}
