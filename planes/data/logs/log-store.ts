/**
 * Logs in encrypted segment files: all attempts share one journal, so that a thousand that print at once share their
 * syncs. Readers follow an index of places, never a path that a caller chose (claims LOG-1, LOG-2).
 */
import { type AttemptId, MiB } from "@biplane/base";
import { type Closeable, type Journal, type Key, openJournal } from "@biplane/kit";
import type { AttemptLog } from "./attempt-log.ts";
import { LogIndex } from "./log-index.ts";
import { readBatches } from "./log-reader.ts";
import { attemptKey, decodeBatch, encodeBatch } from "./log-record.ts";
import type { LogLine, LogStore, LogWriter } from "./types.ts";

const segmentBytesMax = 16 * MiB;

export interface LogStoreOptions {
  readonly folder: string;
  readonly key: Key;
}

export async function openLogStore(options: LogStoreOptions): Promise<LogStore & Closeable> {
  const batches = await openJournal({ ...options, name: "lines", segmentBytesMax });
  const places = await openJournal({ ...options, name: "places", segmentBytesMax });
  return new JournalLogStore(batches, places, await LogIndex.load(batches, places));
}

class JournalLogStore implements LogStore, Closeable {
  readonly #batches: Journal;
  readonly #places: Journal;
  readonly #index: LogIndex;

  constructor(batches: Journal, places: Journal, index: LogIndex) {
    this.#batches = batches;
    this.#places = places;
    this.#index = index;
  }

  async open(attempt: AttemptId): Promise<LogWriter> {
    const key = attemptKey(attempt);
    const log = this.#index.open(key);
    let closed = false;
    return {
      append: async (lines) => {
        if (lines.length === 0) return;
        const sequence = await this.#batches.append(encodeBatch({ key, lines }));
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
        yield decodeBatch(record).lines;
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
