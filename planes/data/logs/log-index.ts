/**
 * Which batches belong to which attempt. Kept in memory; written to a journal of its own now and then, so that a start
 * reads the index and the few batches after its last checkpoint, not every line ever printed.
 */
import type { Journal } from "@biplane/kit";
import { AttemptLog } from "./attempt-log.ts";
import { attemptOfBatch, decodeIndexRecord, encodeIndexRecord } from "./log-record.ts";

const batchesPerCheckpoint = 4_096;

export class LogIndex {
  readonly #journal: Journal;
  readonly #attempts = new Map<string, AttemptLog>();
  readonly #unsaved = new Set<AttemptLog>();
  #upTo = 0;
  #savedUpTo = 0;
  #saving: Promise<void> = Promise.resolve();
  #failed = false;
  /** What the journal holds, oldest first. */
  readonly #records: { readonly sequence: bigint; readonly upTo: number }[] = [];

  private constructor(journal: Journal) {
    this.#journal = journal;
  }

  static async load(batches: Journal, places: Journal): Promise<LogIndex> {
    const index = new LogIndex(places);
    for await (const { sequence, record } of places.read(places.firstSequence))
      index.#apply(record, sequence);
    // Batches are dropped whether or not the index on disk ever named them.
    const next = Math.max(index.#upTo + 1, Number(batches.firstSequence));
    for await (const { sequence, record } of batches.read(BigInt(next)))
      index.add(index.#obtain(attemptOfBatch(record)), Number(sequence));
    await index.forgetBefore(Number(batches.firstSequence));
    return index;
  }

  find(key: string): AttemptLog | undefined {
    return this.#attempts.get(key);
  }

  open(key: string): AttemptLog {
    const log = this.#obtain(key);
    log.beginWriting();
    return log;
  }

  /** Sequences come in ascending order, whatever the attempt. */
  add(log: AttemptLog, sequence: number): void {
    log.add(sequence);
    this.#unsaved.add(log);
    this.#upTo = sequence;
    if (this.#upTo - this.#savedUpTo >= batchesPerCheckpoint) this.#checkpoint();
  }

  /** For batches that are dropped: attempts that have no others are as if they had never printed. */
  async forgetBefore(sequence: number): Promise<void> {
    for (const [key, log] of this.#attempts) {
      log.places.dropBefore(sequence);
      if (log.places.isEmpty && !log.isOpen) this.#attempts.delete(key);
    }
    const needed = this.#records.findIndex(({ upTo }) => upTo >= sequence);
    if (needed > 0) await this.#journal.dropBefore(this.#records.splice(0, needed).at(-1)!.sequence + 1n);
  }

  /** What could not be saved is found again by reading batches at the next start. */
  close(): Promise<void> {
    if (this.#unsaved.size > 0) this.#checkpoint();
    return this.#saving;
  }

  #checkpoint(): void {
    const attempts = [...this.#unsaved].map((log) => ({ key: log.key, places: log.takeUnsaved() }));
    this.#unsaved.clear();
    this.#savedUpTo = this.#upTo;
    const upTo = this.#upTo;
    const record = encodeIndexRecord({ upTo, attempts });
    this.#saving = this.#saving.then(() => this.#append(record, upTo));
  }

  /** A failed checkpoint ends checkpoints: a later one would claim to cover the batches that this one lacks. */
  async #append(record: Uint8Array, upTo: number): Promise<void> {
    if (this.#failed) return;
    try {
      this.#records.push({ sequence: await this.#journal.append(record), upTo });
    } catch {
      this.#failed = true;
    }
  }

  #apply(bytes: Uint8Array, sequence: bigint): void {
    const record = decodeIndexRecord(bytes);
    this.#records.push({ sequence, upTo: record.upTo });
    for (const { key, places } of record.attempts) this.#obtain(key).places.addRuns(places);
    this.#upTo = record.upTo;
    this.#savedUpTo = record.upTo;
  }

  #obtain(key: string): AttemptLog {
    let log = this.#attempts.get(key);
    if (log === undefined) {
      log = new AttemptLog(key);
      this.#attempts.set(key, log);
    }
    return log;
  }
}
