/** Log records as they are stored: a batch of one attempt's lines, and an entry of the index of such batches. */
import type { AttemptId } from "@biplane/base";
import type { LogLine } from "./types.ts";

/** Names an attempt in the index. Ids never contain a slash, so two attempts never read alike. */
export function attemptKey(id: AttemptId): string {
  return `${id.org}/${id.project}/${id.domain}/${id.run}/${id.action}/${id.attempt}`;
}

export interface LogBatch {
  readonly key: string;
  readonly lines: readonly LogLine[];
}

type StoredLine = readonly [atMs: number, system: 0 | 1, message: string];

export function encodeBatch(batch: LogBatch): Uint8Array {
  const lines = batch.lines.map(
    (line): StoredLine => [line.atMs, line.originator === "system" ? 1 : 0, line.message],
  );
  return Buffer.from(JSON.stringify([batch.key, lines]));
}

export function decodeBatch(record: Uint8Array): LogBatch {
  const [key, lines] = JSON.parse(Buffer.from(record).toString("utf8")) as [string, StoredLine[]];
  return {
    key,
    lines: lines.map(([atMs, system, message]) => ({
      atMs,
      originator: system === 1 ? "system" : "user",
      message,
    })),
  };
}

/** What a checkpoint of the index adds: where attempts' batches are that came since the one before. */
export interface IndexRecord {
  /** Every batch up to here is in this record or an earlier one. */
  readonly upTo: number;
  readonly attempts: readonly { readonly key: string; readonly places: readonly number[] }[];
}

export function encodeIndexRecord(record: IndexRecord): Uint8Array {
  return Buffer.from(JSON.stringify(record));
}

export function decodeIndexRecord(bytes: Uint8Array): IndexRecord {
  return JSON.parse(Buffer.from(bytes).toString("utf8")) as IndexRecord;
}
