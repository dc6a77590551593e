/** The data plane's audit log: append-only, encrypted, on disk before `record` resolves. */
import { type AuditRecord, decodeAuditRecord, encodeAuditRecord } from "@biplane/audit";
import type { Key } from "@biplane/kit/crypto";
import { type Journal, openJournal } from "@biplane/kit/journal";

export class AuditLog {
  readonly #journal: Journal;

  constructor(journal: Journal) {
    this.#journal = journal;
  }

  static async open(folder: string, key: Key): Promise<AuditLog> {
    return new AuditLog(await openJournal({ folder, key, name: "audit" }));
  }

  /** Resolves once the record is on disk; what can't be recorded must not happen. */
  async record(record: AuditRecord): Promise<void> {
    await this.#journal.append(encodeAuditRecord(record));
  }

  /** Everything recorded so far, oldest first. */
  async *read(fromSequence = 1n): AsyncGenerator<AuditRecord & { readonly sequence: bigint }> {
    for await (const entry of this.#journal.read(fromSequence)) {
      yield { ...decodeAuditRecord(entry.record), sequence: entry.sequence };
    }
  }

  close(): Promise<void> {
    return this.#journal.close();
  }
}
