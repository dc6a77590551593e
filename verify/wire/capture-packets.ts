/** Reads TCP segments out of a capture file, as tcpdump writes it (the classic pcap format, Ethernet or raw IP). */

export interface Segment {
  /** `ADDRESS:PORT`. */
  readonly from: string;
  readonly to: string;
  readonly sequence: number;
  readonly opens: boolean;
  readonly payload: Buffer;
}

const fileHeaderBytes = 24;
const packetHeaderBytes = 16;
const magic = { littleEndian: 0xa1b2c3d4, littleEndianNanoseconds: 0xa1b23c4d };
const etherTypes = { ip4: 0x0800, ip6: 0x86dd };
const tcpProtocol = 6;

export function* readSegments(capture: Buffer): Generator<Segment> {
  const kind = capture.readUInt32LE(0);
  if (kind !== magic.littleEndian && kind !== magic.littleEndianNanoseconds) {
    throw new Error("The capture is not a pcap file of a little-endian machine.");
  }
  for (let offset = fileHeaderBytes; offset + packetHeaderBytes <= capture.length; ) {
    const captured = capture.readUInt32LE(offset + 8);
    const original = capture.readUInt32LE(offset + 12);
    if (captured < original) throw new Error("A packet was cut off; what was in it can't be judged.");
    const start = offset + packetHeaderBytes;
    const segment = readFrame(capture.subarray(start, start + captured));
    if (segment !== undefined) yield segment;
    offset = start + captured;
  }
}

function readFrame(frame: Buffer): Segment | undefined {
  const etherType = frame.readUInt16BE(12);
  const packet = frame.subarray(14);
  if (etherType === etherTypes.ip4) return readIp4(packet);
  if (etherType === etherTypes.ip6) return readIp6(packet);
  return undefined;
}

function readIp4(packet: Buffer): Segment | undefined {
  if (packet[9] !== tcpProtocol) return undefined;
  const headerBytes = (packet[0]! & 0x0f) * 4;
  const total = packet.readUInt16BE(2);
  // Segments put together by the network card's offload say 0 when they are longer than the field can tell.
  const end = total === 0 ? packet.length : total;
  const address = (at: number) => packet.subarray(at, at + 4).join(".");
  return readTcp(packet.subarray(headerBytes, end), address(12), address(16));
}

function readIp6(packet: Buffer): Segment | undefined {
  if (packet[6] !== tcpProtocol) return undefined;
  const payloadBytes = packet.readUInt16BE(4);
  const end = payloadBytes === 0 ? packet.length : 40 + payloadBytes;
  const address = (at: number) => `[${packet.toString("hex", at, at + 16)}]`;
  return readTcp(packet.subarray(40, end), address(8), address(24));
}

function readTcp(segment: Buffer, source: string, destination: string): Segment {
  const headerBytes = (segment[12]! >> 4) * 4;
  return {
    from: `${source}:${segment.readUInt16BE(0)}`,
    to: `${destination}:${segment.readUInt16BE(2)}`,
    sequence: segment.readUInt32BE(4),
    opens: (segment[13]! & 0x02) !== 0,
    payload: segment.subarray(headerBytes),
  };
}
