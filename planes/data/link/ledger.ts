/**
 * The border ledger (claim BORDER-1): every message between the planes, both ways, on the customer's disk before it is
 * sent or obeyed. It is bounded: the oldest messages make room.
 */
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { MiB } from "@biplane/base";
import { border } from "@biplane/data-wire";
import { type Clock, deriveKey, type Key, systemClock } from "@biplane/kit";
import { type Journal, openJournal } from "@biplane/kit/journal";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { mentionsRun } from "./ledger-filter.ts";
import type { NamedValue } from "./ledger-headers.ts";
import { LedgerSeals } from "./ledger-seals.ts";

export interface LedgerOptions {
  readonly folder: string;
  readonly key: Key;
  /** Size on disk that is kept about; 1 GiB by default. */
  readonly bytesMax?: number;
  readonly clock?: Clock;
  /** Awaited before entries are dropped. */
  readonly onDrop?: (seal: border.LedgerSeal) => Promise<void>;
  readonly onFailure?: (error: unknown) => void;
}

export interface Crossing {
  readonly direction: border.Direction;
  /** `biplane.control.v1.LinkService/Connect` */
  readonly method: string;
  /** Joins what belongs to one call. */
  readonly call: string;
  /** Empty where only headers cross. */
  readonly messageType: string;
  readonly message: Uint8Array;
  readonly headers?: readonly NamedValue[];
  /** HTTP status of an answer. */
  readonly status?: number;
}

export interface LedgerQuery {
  /** 0 begins with the oldest entry that is kept. */
  readonly fromSequence: bigint;
  readonly follow: boolean;
  /** Only messages that mention this run; empty for all. */
  readonly run: string;
  /** Begins with so many of the newest; 0, the default, for all. */
  readonly last?: number;
}

const bytesMaxDefault = 1_024 * MiB;
const segmentsKept = 16;

/** The plane's own ledger, for as long as the work takes; the plane must not be running. */
export async function withBorderLedger<T>(
  folder: string,
  systemKey: Key,
  work: (ledger: BorderLedger) => Promise<T>,
): Promise<T> {
  const ledger = await openLedger({ folder, key: ledgerKey(systemKey) });
  try {
    return await work(ledger);
  } finally {
    await ledger.close();
  }
}

export function ledgerKey(systemKey: Key): Key {
  return deriveKey(systemKey, "border ledger");
}

export async function openLedger(options: LedgerOptions): Promise<BorderLedger> {
  const bytesMax = options.bytesMax ?? bytesMaxDefault;
  const segmentBytesMax = Math.ceil(bytesMax / segmentsKept);
  const { folder, key } = options;
  const journal = await openJournal({ folder, key, name: "border", segmentBytesMax });
  const seals = await LedgerSeals.open(folder, key);
  return new BorderLedger(journal, seals, { ...options, bytesMax });
}

export class BorderLedger {
  readonly #journal: Journal;
  readonly #seals: LedgerSeals;
  readonly #folder: string;
  readonly #bytesMax: number;
  readonly #clock: Clock;
  readonly #onDrop: LedgerOptions["onDrop"];
  readonly #onFailure: LedgerOptions["onFailure"];
  #bytesSinceTrim = 0;
  #trimming: Promise<void> | undefined;

  /** Use `openLedger`. */
  constructor(journal: Journal, seals: LedgerSeals, options: LedgerOptions & { readonly bytesMax: number }) {
    this.#journal = journal;
    this.#seals = seals;
    this.#folder = options.folder;
    this.#bytesMax = options.bytesMax;
    this.#clock = options.clock ?? systemClock;
    this.#onDrop = options.onDrop;
    this.#onFailure = options.onFailure;
  }

  /** Resolves once they are on disk, in this order. What can't be recorded must not cross. */
  async record(crossings: readonly Crossing[]): Promise<void> {
    const recordedAt = timestampFromMs(this.#clock.now());
    const records = crossings.map(({ headers = [], ...crossing }) =>
      toBinary(
        border.LedgerEntrySchema,
        create(border.LedgerEntrySchema, {
          recordedAt,
          ...crossing,
          headers: headers.map(([name, value]) => ({ name, value })),
        }),
      ),
    );
    await this.#append(records);
  }

  async #append(records: readonly Uint8Array[]): Promise<void> {
    await this.#journal.appendMany(records);
    this.#bytesSinceTrim += records.reduce((sum, record) => sum + record.length, 0);
    if (this.#bytesSinceTrim > this.#bytesMax / segmentsKept) this.#startTrimming();
  }

  /** A ledger that can't be shortened grows for now: that is no reason to stop what waits to cross. */
  #startTrimming(): void {
    this.#trimming ??= this.#trim()
      .catch((error: unknown) => this.#onFailure?.(error))
      .finally(() => {
        this.#trimming = undefined;
      });
  }

  /** Oldest first. With `follow` it goes on with each new message until the signal aborts. */
  async *read(query: LedgerQuery, signal: AbortSignal): AsyncGenerator<border.LedgerEntry> {
    let next = await this.#beginning(query, signal);
    do {
      const oldest = this.#journal.firstSequence;
      if (next < oldest) {
        if (query.run === "") yield* this.#seals.entries(next);
        next = oldest;
      }
      for await (const { sequence, record } of this.#journal.read(next)) {
        if (signal.aborted) return;
        next = sequence + 1n;
        const entry = fromBinary(border.LedgerEntrySchema, record);
        entry.sequence = sequence;
        if (query.run === "" || mentionsRun(entry, query.run)) yield entry;
      }
    } while (query.follow && (await this.#journal.waitFor(next, signal)));
  }

  async #beginning({ fromSequence, run, last = 0 }: LedgerQuery, signal: AbortSignal): Promise<bigint> {
    if (last === 0) return fromSequence;
    const newest =
      run === "" ? this.#journal.lastSequence - BigInt(last) + 1n : await this.#nthLast(run, last, signal);
    return newest > fromSequence ? newest : fromSequence;
  }

  /**
   * Where the last `count` messages that mention the run begin; the journal's beginning if there are fewer. It reads all
   * that is kept, unless the signal aborts.
   */
  async #nthLast(run: string, count: number, signal: AbortSignal): Promise<bigint> {
    const found: bigint[] = [];
    for await (const { sequence, record } of this.#journal.read(this.#journal.firstSequence)) {
      if (signal.aborted) break;
      if (!mentionsRun(fromBinary(border.LedgerEntrySchema, record), run)) continue;
      found.push(sequence);
      if (found.length > count) found.shift();
    }
    return found[0] ?? 0n;
  }

  async close(): Promise<void> {
    await this.#trimming;
    await this.#journal.close();
    await this.#seals.close();
  }

  /**
   * Drops about as many of the oldest messages as the files are too large; whole segments go, and leave a seal. What can't
   * be audited stays.
   */
  async #trim(): Promise<void> {
    this.#bytesSinceTrim = 0;
    const bytes = await this.#bytesOnDisk();
    if (bytes <= this.#bytesMax) return;
    const { firstSequence, lastSequence } = this.#journal;
    const excess = (bytes - this.#bytesMax) / bytes;
    const count = Number(lastSequence - firstSequence + 1n);
    const kept = this.#journal.keptFrom(firstSequence + BigInt(Math.ceil(count * excess)));
    if (kept === firstSequence) return;
    const seal = await this.#seals.add(this.#journal, kept, this.#clock.now());
    await this.#onDrop?.(seal);
    await this.#journal.dropBefore(kept);
  }

  async #bytesOnDisk(): Promise<number> {
    const names = await readdir(this.#folder);
    const sizes = await Promise.all(names.map(async (name) => (await stat(join(this.#folder, name))).size));
    return sizes.reduce((sum, size) => sum + size, 0);
  }
}
