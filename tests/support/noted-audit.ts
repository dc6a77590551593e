/** An audit log in memory, for tests of what is written into it. */
import type { AuditInput } from "@biplane/kit/audit-log";
import { createLinkRecords, type LinkRecords } from "../../planes/data/link/index.ts";

export class NotedAudit {
  readonly all: AuditInput[] = [];

  async record(record: AuditInput): Promise<void> {
    this.all.push(record);
  }

  /** Reasons of the records with this code. */
  reasons(code: AuditInput["code"]): string[] {
    return this.all.filter((record) => record.code === code).map(({ reason }) => reason ?? "");
  }

  linkRecords(): LinkRecords {
    return createLinkRecords(this, this);
  }
}
