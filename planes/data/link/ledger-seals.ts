/** What remains of entries that made room: a chain of hashes, so that a copy of them can still be proven genuine. */
import { createHash } from "node:crypto";
import { border } from "@biplane/data-wire";
import type { Key } from "@biplane/kit";
import { type Journal, openJournal } from "@biplane/kit/journal";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";

const beginning = new Uint8Array(32);

export class LedgerSeals {
  readonly #journal: Journal;
  #last: Uint8Array;

  private constructor(journal: Journal, last: Uint8Array) {
    this.#journal = journal;
    this.#last = last;
  }

  static async open(folder: string, key: Key): Promise<LedgerSeals> {
    const journal = await openJournal({ folder, key, name: "border-seals" });
    let last: Uint8Array = beginning;
    for await (const { record } of journal.read(journal.firstSequence)) {
      last = fromBinary(border.LedgerSealSchema, record).sha256;
    }
    return new LedgerSeals(journal, last);
  }

  /** Seals the ledger's entries before `kept`; on disk when it resolves. */
  async add(ledger: Journal, kept: bigint, nowMs: number): Promise<border.LedgerSeal> {
    const firstSequence = ledger.firstSequence;
    const hash = createHash("sha256").update(this.#last);
    for await (const { sequence, record } of ledger.read(firstSequence)) {
      if (sequence >= kept) break;
      const length = Buffer.alloc(4);
      length.writeUInt32BE(record.length);
      hash.update(length).update(record);
    }
    const fields = { firstSequence, lastSequence: kept - 1n, sha256: hash.digest() };
    const seal = create(border.LedgerSealSchema, { ...fields, droppedAt: timestampFromMs(nowMs) });
    await this.#journal.append(toBinary(border.LedgerSealSchema, seal));
    this.#last = seal.sha256;
    return seal;
  }

  /** The seals that stand for entries from the sequence on, each as an entry in their place. */
  async *entries(fromSequence: bigint): AsyncGenerator<border.LedgerEntry> {
    for await (const { record } of this.#journal.read(this.#journal.firstSequence)) {
      const seal = fromBinary(border.LedgerSealSchema, record);
      if (seal.lastSequence < fromSequence) continue;
      yield create(border.LedgerEntrySchema, {
        sequence: seal.lastSequence,
        ...(seal.droppedAt === undefined ? {} : { recordedAt: seal.droppedAt }),
        messageType: border.LedgerSealSchema.typeName,
        message: record,
      });
    }
  }

  close(): Promise<void> {
    return this.#journal.close();
  }
}
