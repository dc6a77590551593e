/** Judges a capture: whether every byte that passed over TCP was part of a TLS record (claim TLS-1). */
import { readSegments, type Segment } from "./capture-packets.ts";

export interface Violation {
  readonly from: string;
  readonly to: string;
  readonly why: string;
}

export interface CaptureReport {
  /** Directions of connections that carried bytes. */
  readonly flows: number;
  readonly bytes: number;
  readonly records: number;
  readonly violations: readonly Violation[];
}

export function judgeCapture(capture: Buffer): CaptureReport {
  const current = new Map<string, Flow>();
  const all = new Set<Flow>();
  for (const segment of readSegments(capture)) {
    const key = `${segment.from} ${segment.to}`;
    const known = current.get(key);
    // Ports are used again: a SYN with another number begins another connection.
    const flow = known === undefined || known.isFollowedBy(segment) ? new Flow(segment) : known;
    current.set(key, flow);
    all.add(flow);
    flow.add(segment);
  }
  const spoken = [...all].filter((flow) => flow.bytes > 0);
  return {
    flows: spoken.length,
    bytes: spoken.reduce((total, flow) => total + flow.bytes, 0),
    records: spoken.reduce((total, flow) => total + flow.records, 0),
    violations: spoken.flatMap((flow) => flow.violations()),
  };
}

/** One direction of one connection: segments in, bytes in their order out. */
class Flow {
  readonly #from: string;
  readonly #to: string;
  readonly #firstSequence: number;
  readonly #stream = new TlsStream();
  readonly #early = new Map<number, Buffer>();
  #next: number;
  bytes = 0;

  constructor(first: Segment) {
    this.#from = first.from;
    this.#to = first.to;
    this.#firstSequence = first.sequence;
    this.#next = first.opens ? (first.sequence + 1) >>> 0 : first.sequence;
  }

  get records(): number {
    return this.#stream.records;
  }

  isFollowedBy(segment: Segment): boolean {
    return segment.opens && segment.sequence !== this.#firstSequence;
  }

  add(segment: Segment): void {
    if (segment.payload.length === 0) return;
    this.#early.set(segment.sequence, segment.payload);
    this.#takeInOrder();
  }

  violations(): Violation[] {
    const why = this.#early.size > 0 ? "bytes are missing from the capture" : this.#stream.problem;
    return why === undefined ? [] : [{ from: this.#from, to: this.#to, why }];
  }

  #takeInOrder(): void {
    for (let found = true; found; ) {
      found = false;
      for (const [sequence, payload] of this.#early) {
        const known = (this.#next - sequence) | 0;
        if (known < 0) continue;
        this.#early.delete(sequence);
        // What was sent again, or kept a connection alive, has passed already.
        if (known < payload.length) {
          this.#accept(payload.subarray(known));
          found = true;
        }
      }
    }
  }

  #accept(data: Buffer): void {
    this.#next = (this.#next + data.length) >>> 0;
    this.bytes += data.length;
    this.#stream.add(data);
  }
}

const recordTypes = { changeCipherSpec: 20, alert: 21, handshake: 22, applicationData: 23 };
const knownTypes: readonly number[] = Object.values(recordTypes);
const headerBytes = 5;
/** RFC 5246, 6.2.3: what encryption may add at most. */
const recordBytesMax = 16_384 + 2_048;

/** A stream that must be TLS records and nothing else, beginning with a handshake. */
class TlsStream {
  records = 0;
  problem: string | undefined;
  #header = Buffer.alloc(0);
  #bodyLeft = 0;

  add(data: Buffer): void {
    for (let offset = 0; offset < data.length && this.problem === undefined; ) {
      if (this.#bodyLeft > 0) {
        const taken = Math.min(this.#bodyLeft, data.length - offset);
        this.#bodyLeft -= taken;
        offset += taken;
      } else {
        const taken = data.subarray(offset, offset + headerBytes - this.#header.length);
        this.#header = Buffer.concat([this.#header, taken]);
        offset += taken.length;
        if (this.#header.length === headerBytes) this.#startRecord();
      }
    }
  }

  #startRecord(): void {
    const [type, major, minor] = this.#header;
    const length = this.#header.readUInt16BE(3);
    const isRecord = knownTypes.includes(type!) && major === 3 && minor! <= 4 && length <= recordBytesMax;
    const beginsRight = this.records > 0 || type === recordTypes.handshake;
    if (!isRecord || !beginsRight) {
      this.problem = `record ${this.records + 1} begins with ${JSON.stringify(this.#header.toString("latin1"))}`;
      return;
    }
    this.records += 1;
    this.#bodyLeft = length;
    this.#header = Buffer.alloc(0);
  }
}
