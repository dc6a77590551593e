/**
 * The control plane's audit trail: one record for each request, refused ones too, on disk before the answer leaves
 * (claim AUD-1). A record names who, what and how it ended; it has no place for what a message held.
 */
import { join } from "node:path";
import { deriveKey, type Key } from "@biplane/kit";
import { openJournal } from "@biplane/kit/journal";

export interface AuditRecord {
  readonly atMs: number;
  readonly method: string;
  readonly org: string;
  readonly cluster: string;
  readonly subject: string;
  /** `ok`, or the error's code. */
  readonly outcome: string;
  readonly reason: string;
  readonly requestId: string;
  readonly address: string;
}

export interface AuditTrail {
  /** Resolves once the record is on disk. */
  record(record: AuditRecord): Promise<void>;
  read(fromSequence: bigint): AsyncIterable<AuditRecord & { readonly sequence: string }>;
  close(): Promise<void>;
}

export async function openAuditTrail(folder: string, rootKey: Key): Promise<AuditTrail> {
  const journal = await openJournal({
    folder: join(folder, "audit"),
    key: deriveKey(rootKey, "control-plane audit trail"),
    name: "audit",
  });
  return {
    record: async (record) => {
      await journal.append(Buffer.from(JSON.stringify(record), "utf8"));
    },
    read: async function* (fromSequence) {
      for await (const { sequence, record } of journal.read(fromSequence)) {
        yield {
          sequence: `${sequence}`,
          ...(JSON.parse(Buffer.from(record).toString("utf8")) as AuditRecord),
        };
      }
    },
    close: () => journal.close(),
  };
}
