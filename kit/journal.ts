/**
 * An append-only log in encrypted segment files. Appends that come together share one write and one sync; what was
 * acknowledged is on disk. After a crash the write that it cut short is dropped; any other damage is an error that
 * names the segment and the sequence. One process has a journal open at a time.
 */
import { randomBytes } from "node:crypto";
import { type FileHandle, mkdir, open, readdir, stat, unlink } from "node:fs/promises";
import { dirname } from "node:path";
import { BiplaneError, MiB } from "@biplane/base";
import type { Key } from "./crypto.ts";
import { syncDirectory, writeFully } from "./files.ts";
import { GroupWriter } from "./group-writer.ts";
import { broken, damaged, dropped, writeFailed } from "./journal-errors.ts";
import { encodeFrame, encodeSegmentHeader, segmentHeaderBytes, segmentKey } from "./journal-frame.ts";
import { recoverJournal } from "./journal-recovery.ts";
import { findSegments, readFrames, type Segment, segmentAt } from "./journal-segment.ts";

export interface JournalOptions {
  readonly folder: string;
  readonly key: Key;
  /** Begins the files' names; several journals can share a folder. Letters, digits and hyphens. */
  readonly name: string;
  /** A segment that has reached this size is followed by a new one. */
  readonly segmentBytesMax?: number;
  /**
   * Called with each group while the disk syncs it: what it does costs nobody time who waits for that. What it returns
   * is called once the group is on disk, before any of its appends resolves.
   */
  readonly onSyncing?: (records: readonly Uint8Array[]) => (() => void) | undefined;
}

export interface JournalEntry {
  readonly sequence: bigint;
  readonly record: Uint8Array;
}

export interface SegmentOnDisk {
  readonly firstSequence: bigint;
  readonly bytes: number;
  /** Of its newest record. */
  readonly writtenAtMs: number;
}

/** One record, or one `appendMany`, may have this many bytes. */
export const journalAppendBytesMax = 64 * MiB;
const frameBytesMax = 4 * MiB;
const waitingBytesMax = 128 * MiB;

type Append = Uint8Array | readonly Uint8Array[];

interface ActiveSegment extends Segment {
  readonly file: FileHandle;
  readonly frameKey: Key;
  /** End of the last synced frame. */
  size: number;
  /** Where some frames begin, so that a reader near the end need not pass over everything. */
  readonly landmarks: { readonly sequence: bigint; readonly offset: number }[];
}

export async function openJournal(options: JournalOptions): Promise<Journal> {
  if (!/^[a-zA-Z0-9-]+$/.test(options.name))
    throw new BiplaneError("internal", "A journal needs a plain name.");
  await mkdir(options.folder, { recursive: true, mode: 0o700 });
  await syncDirectory(dirname(options.folder));
  const segments = findSegments(options.folder, options.name, await readdir(options.folder));
  const last = await recoverJournal(options.key, options.name, segments);
  return new Journal(options, segments, last);
}

export class Journal {
  readonly #folder: string;
  readonly #key: Key;
  readonly #name: string;
  readonly #segmentBytesMax: number;
  readonly #onSyncing: JournalOptions["onSyncing"];
  readonly #segments: Segment[];
  readonly #waiters = new Set<() => void>();
  readonly #writer: GroupWriter<Append, bigint>;
  #last: bigint;
  #active: ActiveSegment | undefined;
  #closed = false;
  #broken: unknown;

  /** Use `openJournal`. */
  constructor(options: JournalOptions, segments: Segment[], last: bigint) {
    this.#folder = options.folder;
    this.#key = options.key;
    this.#name = options.name;
    this.#segmentBytesMax = options.segmentBytesMax ?? 16 * MiB;
    this.#onSyncing = options.onSyncing;
    this.#segments = segments;
    this.#last = last;
    this.#writer = new GroupWriter({
      groupBytesMax: frameBytesMax,
      write: (appends) => this.#writeGroup(appends),
      cleanUp: (cause) => this.#abandonActive(cause),
    });
  }

  /** Of the newest record on disk; 0 before the first. */
  get lastSequence(): bigint {
    return this.#last;
  }

  /** Of the oldest record that is kept; one more than `lastSequence` where there is none. */
  get firstSequence(): bigint {
    return this.#segments[0]?.firstSequence ?? this.#last + 1n;
  }

  /** Resolves to the record's sequence once it is on disk. Sequences follow the order of the calls. */
  append(record: Uint8Array): Promise<bigint> {
    return this.appendMany([record]);
  }

  /** As `append`, for whoever needs no sequence: that costs less where many small records come at once. */
  keep(record: Uint8Array): Promise<void> {
    const bytes = record.length + 4;
    const refusal = this.#refusal(1, bytes);
    return refusal === undefined ? this.#writer.join(record, bytes) : Promise.reject(refusal);
  }

  /** All or none of them survive a crash. Resolves to the last one's sequence. */
  appendMany(records: readonly Uint8Array[]): Promise<bigint> {
    const bytes = records.reduce((sum, record) => sum + record.length + 4, 0);
    const refusal = this.#refusal(records.length, bytes);
    return refusal === undefined ? this.#writer.append(records, bytes) : Promise.reject(refusal);
  }

  /**
   * Everything from the sequence on that was on disk when the end is reached; for more, `waitFor` the next one and
   * read again. Refused with `out_of_range` where the records were dropped already.
   */
  async *read(fromSequence: bigint): AsyncGenerator<JournalEntry> {
    let next = fromSequence > 1n ? fromSequence : 1n;
    while (next <= this.#last) {
      const segment = this.#segments.findLast((one) => one.firstSequence <= next);
      if (segment === undefined) throw dropped(this.#name, next, this.firstSequence);
      const before = next;
      for await (const entry of this.#readSegment(segment, next)) {
        // A write under way is not on disk yet, even if its bytes can be seen.
        if (entry.sequence > this.#last) return;
        yield entry;
        next = entry.sequence + 1n;
      }
      if (next === before) throw damaged(segment, next);
    }
  }

  /** Resolves to true once the sequence is on disk; to false when the signal aborts or the journal closes first. */
  waitFor(sequence: bigint, signal?: AbortSignal): Promise<boolean> {
    const answer = () =>
      this.#last >= sequence ? true : this.#closed || signal?.aborted ? false : undefined;
    const now = answer();
    if (now !== undefined) return Promise.resolve(now);
    return new Promise((resolve) => {
      const check = () => {
        const then = answer();
        if (then === undefined) return;
        this.#waiters.delete(check);
        signal?.removeEventListener("abort", check);
        resolve(then);
      };
      this.#waiters.add(check);
      signal?.addEventListener("abort", check);
    });
  }

  /** Of the oldest record that stays when everything before the sequence is dropped: whole segments go. */
  keptFrom(sequence: bigint): bigint {
    return (
      this.#segments.findLast((one) => one.firstSequence <= sequence)?.firstSequence ?? this.firstSequence
    );
  }

  /** What is kept, oldest first. */
  segmentsOnDisk(): Promise<readonly SegmentOnDisk[]> {
    return Promise.all(
      this.#segments.map(async ({ path, firstSequence }) => {
        const { size, mtimeMs } = await stat(path);
        return { firstSequence, bytes: size, writtenAtMs: mtimeMs };
      }),
    );
  }

  /** Deletes the segments whose records are all older; the newest segment stays, to remember the sequence. */
  async dropBefore(sequence: bigint): Promise<void> {
    while (this.#segments.length > 1 && this.#segments[1]!.firstSequence <= sequence) {
      const [oldest] = this.#segments.splice(0, 1);
      await unlink(oldest!.path);
    }
  }

  /** Waits for appends under way; later ones are refused. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#writer.idle();
    this.#wake();
    const active = this.#active;
    this.#active = undefined;
    await active?.file.close();
  }

  #refusal(count: number, bytes: number): BiplaneError | undefined {
    if (this.#closed) return new BiplaneError("unavailable", `The journal ${this.#name} is closed.`);
    if (this.#broken !== undefined) return broken(this.#name, this.#broken);
    if (count === 0) return new BiplaneError("internal", "An append needs a record.");
    if (bytes > journalAppendBytesMax || this.#writer.waitingBytes + bytes > waitingBytesMax) {
      return new BiplaneError("resource_exhausted", {
        what: `The journal ${this.#name} can't take ${bytes} bytes now.`,
        why: `At most ${journalAppendBytesMax} at once and ${waitingBytesMax} waiting are allowed.`,
        next: "Append less at once, or wait for earlier appends.",
      });
    }
    return undefined;
  }

  async #writeGroup(appends: readonly Append[]): Promise<bigint[]> {
    if (this.#broken !== undefined) throw this.#broken;
    const active = await this.#activeSegment();
    const first = this.#last + 1n;
    const records = appends.flat();
    const frame = encodeFrame(active.frameKey, first, records);
    await writeFully(active.file, frame, active.size);
    const synced = active.file.datasync();
    const onAppended = this.#onSyncing?.(records);
    await synced;
    noteLandmark(active, first);
    active.size += frame.length;
    const lastOfEach = appends.map((append) => {
      this.#last += Array.isArray(append) ? BigInt(append.length) : 1n;
      return this.#last;
    });
    onAppended?.();
    this.#wake();
    return lastOfEach;
  }

  async #activeSegment(): Promise<ActiveSegment> {
    const active = this.#active;
    if (active !== undefined && active.size < this.#segmentBytesMax) return active;
    this.#active = undefined;
    await active?.file.close();
    const segment = segmentAt(this.#folder, this.#name, this.#last + 1n);
    this.#active = await createSegment(segment, this.#key, this.#name);
    this.#segments.push(segment);
    return this.#active;
  }

  /**
   * After a failed write nobody knows what of it is on disk, and its nonce is used up: what was acknowledged stays, the
   * rest is cut off, and the next write begins a new segment. Where even that fails, the journal takes no more.
   */
  async #abandonActive(cause: unknown): Promise<BiplaneError> {
    const active = this.#active;
    this.#active = undefined;
    try {
      await active?.file.truncate(active.size);
      await active?.file.datasync();
      await active?.file.close();
      if (active !== undefined && active.size <= segmentHeaderBytes) this.#segments.pop();
    } catch {
      this.#broken = cause;
    }
    return writeFailed(this.#name, cause);
  }

  async *#readSegment(segment: Segment, fromSequence: bigint): AsyncGenerator<JournalEntry> {
    const active = this.#active?.path === segment.path ? this.#active : undefined;
    const landmark = active?.landmarks.findLast((one) => one.sequence <= fromSequence);
    const place = {
      fromSequence,
      ...(landmark === undefined ? {} : { offset: landmark.offset }),
      ...(active === undefined ? {} : { endOffset: active.size }),
    };
    let expected = fromSequence;
    for await (const frame of readFrames(segment, this.#key, this.#name, place)) {
      if (frame.kind !== "frame" || frame.header.firstSequence > expected) throw damaged(segment, expected);
      for (const [index, record] of frame.records.entries()) {
        const sequence = frame.header.firstSequence + BigInt(index);
        if (sequence >= fromSequence) yield { sequence, record };
      }
      expected = frame.header.firstSequence + BigInt(frame.header.count);
    }
  }

  #wake(): void {
    for (const check of [...this.#waiters]) check();
  }
}

const landmarkEveryBytes = 64 * 1024;

function noteLandmark(active: ActiveSegment, sequence: bigint): void {
  const before = active.landmarks.at(-1)?.offset ?? 0;
  if (active.size - before >= landmarkEveryBytes) active.landmarks.push({ sequence, offset: active.size });
}

async function createSegment(segment: Segment, key: Key, name: string): Promise<ActiveSegment> {
  const header = encodeSegmentHeader(randomBytes(32));
  const file = await open(segment.path, "w", 0o600);
  try {
    await writeFully(file, header, 0);
    await file.sync();
    await syncDirectory(dirname(segment.path));
  } catch (error) {
    await file.close();
    throw error;
  }
  const frameKey = segmentKey(key, name, segment.firstSequence, header)!;
  return { ...segment, file, frameKey, size: header.length, landmarks: [] };
}
