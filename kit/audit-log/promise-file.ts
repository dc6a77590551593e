/**
 * What a log has promised, in one encrypted file that is replaced at each checkpoint: the newest checkpoint, the newest
 * one that a witness signed, and the hashes at the tree's right edge. With the tiles it holds the hash of every record
 * up to the checkpoint, apart from the records: so a record that was changed or lost later is found by its number.
 */
import { decodeHashes, parseCheckpoint, type SignedCheckpoint, tileWidth } from "@biplane/audit";
import { BiplaneError } from "@biplane/base";
import { type Key, openRecord, sealRecord } from "../crypto.ts";
import { readFileIfAny, writeFileDurably } from "../files.ts";

export interface LogPromise {
  /** As `formatCheckpoint` writes it. */
  readonly checkpoint: string;
  readonly cosigned: string | undefined;
  /** Packed hashes. */
  readonly rows: readonly Uint8Array[];
}

const place = "audit log promise";

export async function readPromise(
  path: string,
  key: Key,
): Promise<(LogPromise & { readonly signed: SignedCheckpoint }) | undefined> {
  const sealed = await readFileIfAny(path);
  if (sealed === undefined) return undefined;
  const text = Buffer.from(openRecord(key, place, new Uint8Array(sealed))).toString("utf8");
  const { checkpoint, cosigned, rows } = JSON.parse(text) as {
    checkpoint: string;
    cosigned?: string;
    rows: string[];
  };
  const decoded = rows.map((row) => new Uint8Array(Buffer.from(row, "base64")));
  const signed = parseCheckpoint(checkpoint);
  // The rows' lengths are the size's digits to the base of 256.
  const inRows = decoded.reduce((sum, row, level) => sum + decodeHashes(row).length * tileWidth ** level, 0);
  if (inRows !== signed.size) {
    throw new BiplaneError("data_loss", "The audit log's promise does not fit its own checkpoint.");
  }
  return { checkpoint, cosigned, rows: decoded, signed };
}

export async function writePromise(path: string, key: Key, promise: LogPromise): Promise<void> {
  const { checkpoint, cosigned } = promise;
  const rows = promise.rows.map((row) => Buffer.from(row).toString("base64"));
  const text = JSON.stringify({ checkpoint, cosigned, rows });
  await writeFileDurably(path, sealRecord(key, place, Buffer.from(text, "utf8")));
}
