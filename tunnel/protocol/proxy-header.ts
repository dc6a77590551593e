/**
 * The PROXY protocol's binary header, version 2 (https://www.haproxy.org/download/2.8/doc/proxy-protocol.txt, section
 * 2.2): how the edge tells the connector the address of a public client. Pure.
 */
import { BiplaneError } from "@biplane/base";

export interface Endpoint {
  readonly address: string;
  readonly port: number;
}

/** Who connected to what, as the edge saw it. `unknown` where the edge speaks for itself or could not tell. */
export type ProxiedConnection =
  | { readonly kind: "known"; readonly client: Endpoint; readonly edge: Endpoint }
  | { readonly kind: "unknown" };

export type ProxyHeaderParse =
  /** `bytes` is the header's length; what follows belongs to the connection. */
  | { readonly kind: "header"; readonly connection: ProxiedConnection; readonly bytes: number }
  | { readonly kind: "incomplete" }
  | { readonly kind: "invalid"; readonly why: string };

const signature = Buffer.from("0d0a0d0a000d0a515549540a", "hex");
const fixedBytes = 16;
/** The specification's own upper bound on what a receiver must take in one go: 536 bytes, the smallest TCP segment. */
export const proxyHeaderBytesMax = 536;

const versionAndCommand = { local: 0x20, proxy: 0x21 } as const;
const families = {
  unspecified: { code: 0x00, addressBytes: 0 },
  tcp4: { code: 0x11, addressBytes: 4 },
  tcp6: { code: 0x21, addressBytes: 16 },
} as const;

export function encodeProxyHeader(connection: ProxiedConnection): Buffer {
  if (connection.kind === "unknown") return header(versionAndCommand.local, families.unspecified.code, []);
  const { client, edge } = connection;
  const addresses = [parseAddress(client.address), parseAddress(edge.address)];
  const both4 = addresses.every((address) => address.length === 4);
  const family = both4 ? families.tcp4 : families.tcp6;
  const ports = Buffer.alloc(4);
  ports.writeUInt16BE(client.port, 0);
  ports.writeUInt16BE(edge.port, 2);
  const parts = addresses.map((address) => (both4 ? address : widen(address)));
  return header(versionAndCommand.proxy, family.code, [...parts, ports]);
}

export function parseProxyHeader(data: Uint8Array): ProxyHeaderParse {
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  const known = Math.min(bytes.length, signature.length);
  if (!bytes.subarray(0, known).equals(signature.subarray(0, known))) return invalid("the signature differs");
  if (bytes.length < fixedBytes) return { kind: "incomplete" };
  const total = fixedBytes + bytes.readUInt16BE(14);
  if (total > proxyHeaderBytesMax) return invalid(`it has ${total} bytes, ${proxyHeaderBytesMax} at most`);
  if (bytes.length < total) return { kind: "incomplete" };
  const command = bytes[12];
  if (command === versionAndCommand.local) return unknownConnection(total);
  if (command !== versionAndCommand.proxy) return invalid("version or command is not known");
  const family = Object.values(families).find((one) => one.code === bytes[13]);
  if (family === undefined || family.addressBytes === 0) return unknownConnection(total);
  if (total < fixedBytes + 2 * family.addressBytes + 4) return invalid("the addresses are cut off");
  return { kind: "header", bytes: total, connection: readAddresses(bytes, family.addressBytes) };
}

function unknownConnection(bytes: number): ProxyHeaderParse {
  return { kind: "header", bytes, connection: { kind: "unknown" } };
}

function invalid(why: string): ProxyHeaderParse {
  return { kind: "invalid", why };
}

function header(command: number, family: number, parts: readonly Buffer[]): Buffer {
  const fixed = Buffer.alloc(fixedBytes);
  signature.copy(fixed);
  fixed[12] = command;
  fixed[13] = family;
  fixed.writeUInt16BE(
    parts.reduce((sum, part) => sum + part.length, 0),
    14,
  );
  return Buffer.concat([fixed, ...parts]);
}

function readAddresses(bytes: Buffer, addressBytes: number): ProxiedConnection {
  const client = fixedBytes;
  const edge = client + addressBytes;
  const ports = edge + addressBytes;
  return {
    kind: "known",
    client: {
      address: formatAddress(bytes.subarray(client, edge)),
      port: bytes.readUInt16BE(ports),
    },
    edge: {
      address: formatAddress(bytes.subarray(edge, ports)),
      port: bytes.readUInt16BE(ports + 2),
    },
  };
}

const mappedPrefix = Buffer.from("00000000000000000000ffff", "hex");

/** An IPv4 address in an IPv6 field (RFC 4291, 2.5.5.2): for a client and an edge of different families. */
function widen(address: Buffer): Buffer {
  return address.length === 16 ? address : Buffer.concat([mappedPrefix, address]);
}

function formatAddress(bytes: Buffer): string {
  if (bytes.length === 4) return bytes.join(".");
  if (bytes.subarray(0, 12).equals(mappedPrefix)) return bytes.subarray(12).join(".");
  const groups = Array.from({ length: 8 }, (_, index) => bytes.readUInt16BE(index * 2).toString(16));
  return new URL(`http://[${groups.join(":")}]/`).hostname.slice(1, -1);
}

/** Reads what the operating system prints; a zone (`%eth0`) is dropped, a mapped IPv4 address becomes IPv4. */
function parseAddress(text: string): Buffer {
  const plain = text.replace(/%.*$/, "").replace(/^::ffff:(?=\d+\.)/i, "");
  const four = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(plain);
  if (four !== null) {
    const numbers = four.slice(1).map(Number);
    if (numbers.every((number) => number <= 255)) return Buffer.from(numbers);
  } else if (plain.includes(":") && URL.canParse(`http://[${plain}]/`)) {
    return expandGroups(new URL(`http://[${plain}]/`).hostname.slice(1, -1));
  }
  throw new BiplaneError("invalid_argument", `${JSON.stringify(text.slice(0, 60))} is not an IP address.`);
}

/** `a::b` to 16 bytes; the URL parser has already turned dotted parts into groups. */
function expandGroups(address: string): Buffer {
  const [left = "", right] = address.split("::");
  const head = left === "" ? [] : left.split(":");
  const tail = right === undefined || right === "" ? [] : right.split(":");
  const zeros = new Array<string>(8 - head.length - tail.length).fill("0");
  const bytes = Buffer.alloc(16);
  for (const [index, group] of [...head, ...zeros, ...tail].entries()) {
    bytes.writeUInt16BE(Number.parseInt(group, 16), index * 2);
  }
  return bytes;
}
