/**
 * Log records as they are stored. A batch of one attempt's lines is sealed by its project's key, so that disabling the
 * customer's key makes logs unreadable too (claim CMK-1); whose batch it is stands under the journal's own key.
 */
import type { AttemptId } from "@biplane/base";
import { deriveKey, type Key, openRecord, sealRecord } from "@biplane/kit";
import type { ScopedKeys } from "../keys/types.ts";
import type { LogLine } from "./types.ts";

/** Names an attempt in the index. Ids never contain a slash, so two attempts never read alike. */
export function attemptKey(id: AttemptId): string {
  return `${id.org}/${id.project}/${id.domain}/${id.run}/${id.action}/${id.attempt}`;
}

type StoredLine = readonly [atMs: number, system: 0 | 1, message: string];

export interface Batch {
  /** Lines that the attempt had printed before; undefined where an older version stored the batch without it. */
  readonly before: number | undefined;
  readonly lines: readonly LogLine[];
}

interface StoredBatch {
  readonly before?: number;
  readonly lines: readonly StoredLine[];
}

/** Lengths of attempt key and key id (2 bytes each), both, then the sealed lines. */
export async function encodeBatch(
  keys: ScopedKeys,
  attempt: string,
  { before, lines }: Batch,
): Promise<Uint8Array> {
  const stored = {
    before,
    lines: lines.map((line): StoredLine => [line.atMs, line.originator === "system" ? 1 : 0, line.message]),
  };
  const { id, key } = await keys.current(scopeOf(attempt));
  const sealed = sealRecord(logKey(key), placeOf(attempt), Buffer.from(JSON.stringify(stored)));
  const lengths = Buffer.alloc(4);
  lengths.writeUInt16BE(Buffer.byteLength(attempt), 0);
  lengths.writeUInt16BE(Buffer.byteLength(id), 2);
  return Buffer.concat([lengths, Buffer.from(attempt), Buffer.from(id), sealed]);
}

export function attemptOfBatch(record: Uint8Array): string {
  return Buffer.from(record)
    .subarray(4, 4 + lengthsOf(record).attempt)
    .toString("utf8");
}

/** Refused with reason `key_disabled` while the customer's key is. */
export async function decodeBatch(keys: ScopedKeys, record: Uint8Array): Promise<Batch> {
  const { attempt: attemptBytes, id: idBytes } = lengthsOf(record);
  const sealedFrom = 4 + attemptBytes + idBytes;
  const id = Buffer.from(record)
    .subarray(4 + attemptBytes, sealedFrom)
    .toString("utf8");
  const key = logKey(await keys.get(id));
  const bytes = openRecord(key, placeOf(attemptOfBatch(record)), record.subarray(sealedFrom));
  const stored = JSON.parse(Buffer.from(bytes).toString("utf8")) as StoredBatch | StoredLine[];
  const { before, lines } = Array.isArray(stored) ? { before: undefined, lines: stored } : stored;
  return {
    before,
    lines: lines.map(([atMs, system, message]) => ({
      atMs,
      originator: system === 1 ? "system" : "user",
      message,
    })),
  };
}

function lengthsOf(record: Uint8Array): { attempt: number; id: number } {
  const view = Buffer.from(record.buffer, record.byteOffset, record.byteLength);
  return { attempt: view.readUInt16BE(0), id: view.readUInt16BE(2) };
}

/** `<org>/<project>` */
function scopeOf(attempt: string): string {
  return attempt.split("/", 2).join("/");
}

function placeOf(attempt: string): string {
  return `log lines of ${attempt}`;
}

function logKey(project: Key): Key {
  return deriveKey(project, "log lines");
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
