/** An audit log in memory, for tests of what is written into it. */
import type { AuditRecord } from "@biplane/audit";
import type { OrgId } from "@biplane/base";
import { systemClock } from "@biplane/kit";
import { createLinkRecords, type LinkRecords } from "../../planes/data/link/index.ts";

export class NotedAudit {
  readonly all: AuditRecord[] = [];

  async record(record: AuditRecord): Promise<void> {
    this.all.push(record);
  }

  /** Reasons of the records with this code. */
  reasons(code: AuditRecord["code"]): string[] {
    return this.all.filter((record) => record.code === code).map(({ reason }) => reason ?? "");
  }

  linkRecords(org: string): LinkRecords {
    return createLinkRecords(this, org as OrgId, systemClock);
  }
}
