/**
 * Logs in encrypted segment files: all attempts share one journal, so that a thousand that print at once share their
 * syncs. Readers follow an index of places, never a path that a caller chose (claims LOG-1, LOG-2).
 */
import { type AttemptId, MiB } from "@biplane/base";
import { type Clock, type Closeable, type Journal, type Key, type Logger, openJournal } from "@biplane/kit";
import type { ScopedKeys } from "../keys/types.ts";
import type { AttemptLog } from "./attempt-log.ts";
import { LogIndex } from "./log-index.ts";
import { readBatches } from "./log-reader.ts";
import { attemptKey, decodeBatch, encodeBatch } from "./log-record.ts";
import { firstKept, type LogLimits, lookForOldLogsEveryMs } from "./retention.ts";
import type { LogLine, LogStore, LogWriter } from "./types.ts";

const segmentBytesDefault = 16 * MiB;

export interface LogStoreOptions {
  readonly folder: string;
  /** Protects the index: whose lines are where. */
  readonly systemKey: Key;
  /** Protect the lines. */
  readonly keys: ScopedKeys;
  readonly limits: LogLimits;
  readonly clock: Clock;
  readonly log: Logger;
  /** Of one file; smaller ones go sooner. */
  readonly segmentBytesMax?: number;
}

export async function openLogStore(options: LogStoreOptions): Promise<LogStore & Closeable> {
  const { folder, systemKey: key, segmentBytesMax = segmentBytesDefault } = options;
  const shared = { folder, key, segmentBytesMax };
  const batches = await openJournal({ ...shared, name: "lines" });
  const places = await openJournal({ ...shared, name: "places" });
  const store = new JournalLogStore(options, batches, places, await LogIndex.load(batches, places));
  await store.dropOld();
  return store;
}

class JournalLogStore implements LogStore, Closeable {
  readonly #keys: ScopedKeys;
  readonly #batches: Journal;
  readonly #places: Journal;
  readonly #index: LogIndex;
  readonly #options: LogStoreOptions;
  readonly #timer: NodeJS.Timeout;
  #dropping: Promise<void> = Promise.resolve();

  constructor(options: LogStoreOptions, batches: Journal, places: Journal, index: LogIndex) {
    this.#options = options;
    this.#keys = options.keys;
    this.#batches = batches;
    this.#places = places;
    this.#index = index;
    this.#timer = setInterval(() => this.dropOld(), lookForOldLogsEveryMs);
    this.#timer.unref();
  }

  /** One after the other: each forgets what it drops before it drops it. */
  dropOld(): Promise<void> {
    this.#dropping = this.#dropping
      .then(() => this.#dropOld())
      .catch((error: unknown) => {
        const text = "old log lines could not be dropped";
        this.#options.log.error({ event: "log_retention_failed", error }, text);
      });
    return this.#dropping;
  }

  async #dropOld(): Promise<void> {
    const { limits, clock, log } = this.#options;
    const before = await this.#batches.segmentsOnDisk();
    const first = firstKept(before, limits, clock.now());
    if (first <= this.#batches.firstSequence) return;
    await this.#index.forgetBefore(Number(first));
    await this.#batches.dropBefore(first);
    const count = before.filter((one) => one.firstSequence < first).length;
    log.info({ event: "logs_dropped", count }, "dropped the oldest files of log lines");
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
        const before = log.linesPrinted;
        log.linesPrinted += lines.length;
        const record = encoded.then(() => encodeBatch(this.#keys, key, { before, lines }));
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
    let shown = 0;
    while (!signal.aborted) {
      const change = log.changed(signal);
      const finished = !log.isOpen;
      for await (const { sequence, record } of readBatches(this.#batches, log.places, read + 1)) {
        if (signal.aborted) return;
        read = sequence;
        const { before = shown, lines } = await decodeBatch(this.#keys, record);
        yield before > shown ? [missing(before - shown, lines), ...lines] : lines;
        shown = before + lines.length;
      }
      if (finished) return;
      await change;
    }
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#dropping;
    await this.#index.close();
    await this.#places.close();
    await this.#batches.close();
  }
}

/** Stands where lines were, so that nobody takes what is left for all that was printed. */
function missing(count: number, [next]: readonly LogLine[]): LogLine {
  const what = `${count} ${count === 1 ? "line is" : "lines are"} missing here.`;
  const why =
    "They were too old or too many to be kept (biplane data start --log-days, --log-gib), or could not be stored.";
  return { atMs: next?.atMs ?? 0, originator: "system", message: `${what} ${why}\n` };
}
