/**
 * Logs in encrypted segment files: all attempts share one journal, so that a thousand that print at once share their
 * syncs. Readers follow an index of places, never a path that a caller chose (claims LOG-1, LOG-2).
 */
import { type AttemptId, MiB } from "@biplane/base";
import { type Closeable, type Journal, type Key, openJournal } from "@biplane/kit";
import type { ScopedKeys } from "../keys/types.ts";
import type { AttemptLog } from "./attempt-log.ts";
import { LogIndex } from "./log-index.ts";
import { readBatches } from "./log-reader.ts";
import { attemptKey, decodeBatch, encodeBatch } from "./log-record.ts";
import type { LogLine, LogStore, LogWriter } from "./types.ts";

const segmentBytesMax = 16 * MiB;

export interface LogStoreOptions {
  readonly folder: string;
  /** Protects the index: whose lines are where. */
  readonly systemKey: Key;
  /** Protect the lines. */
  readonly keys: ScopedKeys;
}

export async function openLogStore(options: LogStoreOptions): Promise<LogStore & Closeable> {
  const shared = { folder: options.folder, key: options.systemKey, segmentBytesMax };
  const batches = await openJournal({ ...shared, name: "lines" });
  const places = await openJournal({ ...shared, name: "places" });
  return new JournalLogStore(options.keys, batches, places, await LogIndex.load(batches, places));
}

class JournalLogStore implements LogStore, Closeable {
  readonly #keys: ScopedKeys;
  readonly #batches: Journal;
  readonly #places: Journal;
  readonly #index: LogIndex;

  constructor(keys: ScopedKeys, batches: Journal, places: Journal, index: LogIndex) {
    this.#keys = keys;
    this.#batches = batches;
    this.#places = places;
    this.#index = index;
  }

  async open(attempt: AttemptId): Promise<LogWriter> {
    const key = attemptKey(attempt);
    const log = this.#index.open(key);
    let closed = false;
    // The wait for a key must not let a later batch overtake an earlier one.
    let encoded: Promise<unknown> = Promise.resolve();
    return {
      append: async (lines) => {
        if (lines.length === 0) return;
        const record = encoded.then(() => encodeBatch(this.#keys, key, lines));
        encoded = record.catch(() => {});
        const sequence = await this.#batches.append(await record);
        this.#index.add(log, Number(sequence));
      },
      close: async () => {
        if (!closed) log.endWriting();
        closed = true;
      },
    };
  }

  async has(attempt: AttemptId): Promise<boolean> {
    return this.#index.find(attemptKey(attempt)) !== undefined;
  }

  async *tail(attempt: AttemptId, signal: AbortSignal): AsyncIterable<readonly LogLine[]> {
    const log = this.#index.find(attemptKey(attempt));
    if (log !== undefined) yield* this.#follow(log, signal);
  }

  async *#follow(log: AttemptLog, signal: AbortSignal): AsyncIterable<readonly LogLine[]> {
    let read = 0;
    while (!signal.aborted) {
      const change = log.changed(signal);
      const finished = !log.isOpen;
      for await (const { sequence, record } of readBatches(this.#batches, log.places, read + 1)) {
        if (signal.aborted) return;
        read = sequence;
        yield await decodeBatch(this.#keys, record);
      }
      if (finished) return;
      await change;
    }
  }

  async close(): Promise<void> {
    await this.#index.close();
    await this.#places.close();
    await this.#batches.close();
  }
}
