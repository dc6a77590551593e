/** Audit logs for tests: opened in a folder, filled, tampered with as somebody who has the key could, and checked. */

import { readdirSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import {
  formatCheckpoint,
  type LogUnderCheck,
  type LogVerdict,
  type SeenCheckpoint,
  verifyLog,
} from "@biplane/audit";
import type { Key } from "../crypto.ts";
import { openJournal } from "../journal.ts";
import { createLogger } from "../logging.ts";
import { type AuditLog, type AuditLogOptions, eventOf, openAuditLog } from "./log.ts";

export const quiet = createLogger({ component: "test", level: "silent" });

export function openTestLog(
  folder: string,
  key: Key,
  more: Partial<AuditLogOptions> = {},
): Promise<AuditLog> {
  return openAuditLog({
    folder,
    key,
    origin: "acme.data.biplane/home",
    place: { plane: "data", org: "acme", cluster: "home" },
    clock: { now: () => 1_700_000_000_000 },
    log: quiet,
    ...more,
  });
}

/** Appends as many records, one after the other. */
export async function fill(log: AuditLog, count: number, label = "event"): Promise<void> {
  await Promise.all(
    Array.from({ length: count }, (_, index) =>
      log.record(eventOf("RUN_PHASE_CHANGED", { run: `${label}-${index}` })),
    ),
  );
}

export function underCheck(log: AuditLog, seen: readonly SeenCheckpoint[] = []): LogUnderCheck {
  const text = (one: AuditLog["latest"]) => (one === undefined ? undefined : formatCheckpoint(one));
  return {
    latest: text(log.latest),
    cosigned: text(log.cosigned),
    logKey: log.signer,
    witnessKey: undefined,
    seen,
    firstIndex: log.firstIndex,
    records: (from) => log.read(from),
    hashes: (index) => log.tile({ level: 0, index, width: 256 }),
  };
}

export function check(log: AuditLog, seen: readonly SeenCheckpoint[] = []): Promise<LogVerdict> {
  return verifyLog(underCheck(log, seen));
}

/** Writes the records anew, as whoever has the key and the disk could: `change` gives what is there afterwards. */
export async function rewriteRecords(
  folder: string,
  key: Key,
  change: (records: Uint8Array[]) => Uint8Array[],
): Promise<void> {
  const before = await openJournal({ folder, key, name: "audit" });
  const records: Uint8Array[] = [];
  for await (const { record } of before.read(1n)) records.push(record);
  await before.close();
  for (const name of readdirSync(folder)) if (name.startsWith("audit-")) await rm(join(folder, name));
  const after = await openJournal({ folder, key, name: "audit" });
  await after.appendMany(change(records));
  await after.close();
}
