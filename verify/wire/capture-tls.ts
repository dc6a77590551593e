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
  for (const flow of spoken) flow.end();
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
  readonly #stream: TlsStream;
  readonly #early = new Map<number, Buffer>();
  #next: number;
  bytes = 0;

  constructor(first: Segment) {
    this.#from = first.from;
    this.#to = first.to;
    this.#firstSequence = first.sequence;
    this.#next = first.opens ? (first.sequence + 1) >>> 0 : first.sequence;
    this.#stream = first.opens ? new TlsStream() : new TlsStream(joinedBytesMax);
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

  /** Nothing more was captured. */
  end(): void {
    this.#stream.end();
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

/** Two records at least, wherever the capture came in. */
const joinedBytesMax = 2 * (recordBytesMax + headerBytes);

/**
 * A stream that must be TLS records and nothing else, beginning with a handshake. Of one that was under way before the
 * capture, the first bytes may be the rest of a record: from where on it is records has to be found.
 */
class TlsStream {
  records = 0;
  problem: string | undefined;
  #header = Buffer.alloc(0);
  #bodyLeft = 0;
  #waiting: Buffer[] | undefined;
  readonly #waitingBytesMax: number;

  constructor(joinedWithin?: number) {
    this.#waiting = joinedWithin === undefined ? undefined : [];
    this.#waitingBytesMax = joinedWithin ?? 0;
  }

  add(data: Buffer): void {
    const waiting = this.#waiting;
    if (waiting === undefined) this.#take(data);
    else if (waiting.push(data) && bytesOf(waiting) >= this.#waitingBytesMax) this.end();
  }

  /** No more will come that could tell where records begin. */
  end(): void {
    if (this.#waiting === undefined) return;
    const bytes = Buffer.concat(this.#waiting);
    this.#waiting = undefined;
    const start = firstRecord(bytes);
    if (start === undefined && bytes.length > 0) {
      this.problem = `under way before the capture, and no TLS record in ${JSON.stringify(bytes.toString("latin1", 0, 40))}`;
      return;
    }
    this.records = 1;
    this.#take(bytes.subarray(start ?? 0));
  }

  #take(data: Buffer): void {
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
    const type = this.#header[0];
    const length = this.#header.readUInt16BE(3);
    const isRecord = isRecordHeader(this.#header, 0);
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

function isRecordHeader(bytes: Buffer, at: number): boolean {
  const isKnown = knownTypes.includes(bytes[at]!) && bytes[at + 1] === 3 && bytes[at + 2]! <= 4;
  return isKnown && bytes.readUInt16BE(at + 3) <= recordBytesMax;
}

/** The first place from which headers follow each other to the end; the rest of one record may come before it. */
function firstRecord(bytes: Buffer): number | undefined {
  for (let start = 0; start + headerBytes <= bytes.length && start <= recordBytesMax; start += 1) {
    if (isRecordHeader(bytes, start) && leadsToTheEnd(bytes, start)) return start;
  }
  return undefined;
}

function leadsToTheEnd(bytes: Buffer, start: number): boolean {
  let at = start;
  while (at + headerBytes <= bytes.length) {
    if (!isRecordHeader(bytes, at)) return false;
    at += headerBytes + bytes.readUInt16BE(at + 3);
  }
  return true;
}

function bytesOf(parts: readonly Buffer[]): number {
  return parts.reduce((sum, one) => sum + one.length, 0);
}
