/**
 * The border ledger (claim BORDER-1): every message between the planes, both ways, on the customer's disk before it is
 * sent or obeyed. It is bounded: the oldest messages make room.
 */
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { type BiplaneError, MiB } from "@biplane/base";
import { border } from "@biplane/data-wire";
import { type Clock, type Key, systemClock } from "@biplane/kit";
import { type Journal, openJournal } from "@biplane/kit/journal";
import { create, type DescMessage, fromBinary, type Message, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { mentionsRun } from "./ledger-filter.ts";

export interface LedgerOptions {
  readonly folder: string;
  readonly key: Key;
  /** Size on disk that is kept about; 1 GiB by default. */
  readonly bytesMax?: number;
  readonly clock?: Clock;
}

export interface Crossing {
  readonly direction: border.Direction;
  /** `biplane.control.v1.LinkService/Connect` */
  readonly method: string;
  readonly schema: DescMessage;
  readonly message: Message;
}

export interface LedgerQuery {
  /** 0 begins with the oldest entry that is kept. */
  readonly fromSequence: bigint;
  readonly follow: boolean;
  /** Only messages that mention this run; empty for all. */
  readonly run: string;
}

const bytesMaxDefault = 1_024 * MiB;
const segmentsKept = 16;

export async function openLedger(options: LedgerOptions): Promise<BorderLedger> {
  const bytesMax = options.bytesMax ?? bytesMaxDefault;
  const segmentBytesMax = Math.ceil(bytesMax / segmentsKept);
  const { folder, key } = options;
  const journal = await openJournal({ folder, key, name: "border", segmentBytesMax });
  return new BorderLedger(journal, folder, bytesMax, options.clock ?? systemClock);
}

export class BorderLedger {
  readonly #journal: Journal;
  readonly #folder: string;
  readonly #bytesMax: number;
  readonly #clock: Clock;
  #bytesSinceTrim = 0;
  #trimming: Promise<void> | undefined;

  /** Use `openLedger`. */
  constructor(journal: Journal, folder: string, bytesMax: number, clock: Clock) {
    this.#journal = journal;
    this.#folder = folder;
    this.#bytesMax = bytesMax;
    this.#clock = clock;
  }

  /** Resolves once they are on disk, in this order. What can't be recorded must not cross. */
  async record(crossings: readonly Crossing[]): Promise<void> {
    const recordedAt = timestampFromMs(this.#clock.now());
    const records = crossings.map(({ direction, method, schema, message }) =>
      toBinary(
        border.LedgerEntrySchema,
        create(border.LedgerEntrySchema, {
          recordedAt,
          direction,
          method,
          messageType: schema.typeName,
          message: toBinary(schema, message),
        }),
      ),
    );
    await this.#append(records);
  }

  /** An answer that was an error: its code and text crossed as well. */
  async recordFailure(method: string, error: BiplaneError): Promise<void> {
    const text = JSON.stringify({ code: error.code, reason: error.reason, message: error.message });
    const entry = create(border.LedgerEntrySchema, {
      recordedAt: timestampFromMs(this.#clock.now()),
      direction: border.Direction.DOWN,
      method,
      messageType: "connect.Error",
      message: Buffer.from(text, "utf8"),
    });
    await this.#append([toBinary(border.LedgerEntrySchema, entry)]);
  }

  async #append(records: readonly Uint8Array[]): Promise<void> {
    await this.#journal.appendMany(records);
    this.#bytesSinceTrim += records.reduce((sum, record) => sum + record.length, 0);
    if (this.#bytesSinceTrim > this.#bytesMax / segmentsKept) this.#trimming ??= this.#trim();
  }

  /** Oldest first. With `follow` it goes on with each new message until the signal aborts. */
  async *read(query: LedgerQuery, signal: AbortSignal): AsyncGenerator<border.LedgerEntry> {
    let next = query.fromSequence;
    do {
      const oldest = this.#journal.firstSequence;
      if (next < oldest) next = oldest;
      for await (const { sequence, record } of this.#journal.read(next)) {
        if (signal.aborted) return;
        next = sequence + 1n;
        const entry = fromBinary(border.LedgerEntrySchema, record);
        entry.sequence = sequence;
        if (query.run === "" || mentionsRun(entry, query.run)) yield entry;
      }
    } while (query.follow && (await this.#journal.waitFor(next, signal)));
  }

  async close(): Promise<void> {
    await this.#trimming;
    await this.#journal.close();
  }

  /** Drops about as many of the oldest messages as the files are too large; whole segments go. */
  async #trim(): Promise<void> {
    try {
      this.#bytesSinceTrim = 0;
      const bytes = await this.#bytesOnDisk();
      if (bytes <= this.#bytesMax) return;
      const { firstSequence, lastSequence } = this.#journal;
      const excess = (bytes - this.#bytesMax) / bytes;
      const count = Number(lastSequence - firstSequence + 1n);
      await this.#journal.dropBefore(firstSequence + BigInt(Math.ceil(count * excess)));
    } finally {
      this.#trimming = undefined;
    }
  }

  async #bytesOnDisk(): Promise<number> {
    const names = await readdir(this.#folder);
    const sizes = await Promise.all(names.map(async (name) => (await stat(join(this.#folder, name))).size));
    return sizes.reduce((sum, size) => sum + size, 0);
  }
}
