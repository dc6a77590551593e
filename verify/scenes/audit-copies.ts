/**
 * Copies of the planes' audit logs, and what somebody with every key of a plane could do to them. Plane internals, for
 * controls: the logs are opened with the planes' own keys, beside the planes.
 */
import { cpSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import {
  controlLogName,
  dataLogName,
  formatCheckpoint,
  type LogUnderCheck,
  parseNoteVerifier,
  verifyLog,
} from "@biplane/audit";
import { planeNumbers } from "@biplane/cli/commands/audit-verify";
import type { audit } from "@biplane/data-wire";
import { type AuditLog, openAuditLog } from "@biplane/kit/audit-log";
import { systemClock } from "@biplane/kit/clock";
import { deriveKey, type Key, readKeyFile } from "@biplane/kit/crypto";
import { openJournal } from "@biplane/kit/journal";
import { createLogger } from "@biplane/kit/logging";

import type { Subject } from "../frame/subject.ts";
import { frozenCopy } from "../machine/freeze.ts";

export type Tampering = "flip" | "drop" | "fork" | "truncate";

export interface LogCopy {
  readonly folder: string;
  readonly key: Key;
  readonly origin: string;
  readonly plane: "data" | "control";
  readonly org: string;
  /** What the live planes say of the log: its keys, and what the other plane remembers. */
  readonly state: audit.GetLogResponse;
}

export async function copyLog(subject: Subject, plane: "data" | "control", to: string): Promise<LogCopy> {
  const { org, cluster } = subject.connection.profile;
  const { pid, state: stateFolder } = subject.planes[plane];
  const isData = plane === "data";
  const from = isData ? join(stateFolder, "audit") : join(stateFolder, "audit", "organizations", org);
  // Asked before the copy is made, so that the copy has all that the other plane remembers.
  const state = await subject.connection.audit.getLog({ plane: planeNumbers[plane] });
  await frozenCopy(pid, from, to);
  const key = isData
    ? deriveKey(await readKeyFile(join(stateFolder, "keys", "system.key")), "audit log")
    : deriveKey(await readKeyFile(join(stateFolder, "state.key")), `audit log ${controlLogName(org)}`);
  return {
    folder: to,
    key,
    plane,
    org,
    state,
    origin: isData ? dataLogName(org, cluster) : controlLogName(org),
  };
}

/** What a check finds wrong with a copy, as a plane that was started on it would serve it. */
export async function changeOf(copy: LogCopy): Promise<string[]> {
  const folder = `${copy.folder}-opened`;
  rmSync(folder, { recursive: true, force: true });
  cpSync(copy.folder, folder, { recursive: true });
  const { key, origin, plane, org } = copy;
  const log = createLogger({ component: "verify", level: "silent" });
  try {
    const opened = await openAuditLog({
      folder,
      key,
      origin,
      place: { plane, org },
      clock: systemClock,
      log,
    });
    try {
      const { problem } = await verifyLog(served(opened, copy.state));
      return problem === undefined ? [] : [`${plane} plane, record ${problem.index}: ${problem.what}`];
    } finally {
      await opened.close();
    }
  } catch (error) {
    return [`${plane} plane, record unknown: ${(error as Error).message}`];
  }
}

function served(log: AuditLog, state: audit.GetLogResponse): LogUnderCheck {
  const seen = state.seen.map(({ size, rootHash }) => ({
    size: Number(size),
    root: rootHash,
    by: "the other plane",
  }));
  return {
    latest: log.latest === undefined ? undefined : formatCheckpoint(log.latest),
    cosigned: undefined,
    logKey: parseNoteVerifier(state.logKey),
    witnessKey: undefined,
    seen,
    firstIndex: log.firstIndex,
    records: (fromIndex) => log.read(fromIndex),
    hashes: (index) => log.tile({ level: 0, index, width: 256 }),
  };
}

/** Another copy, changed so that every file of it is well-formed. */
export async function tampered(copy: LogCopy, how: Tampering): Promise<LogCopy> {
  const folder = `${copy.folder}-${how}`;
  cpSync(copy.folder, folder, { recursive: true });
  const before = await openJournal({ folder, key: copy.key, name: "audit" });
  const records: Uint8Array[] = [];
  for await (const { record } of before.read(before.firstSequence)) records.push(record);
  await before.close();
  for (const name of readdirSync(folder)) if (name.startsWith("audit-")) rmSync(join(folder, name));
  const journal = await openJournal({ folder, key: copy.key, name: "audit" });
  await journal.appendMany(changed(records, how));
  await journal.close();
  return { ...copy, folder };
}

/** At a record that the other plane has seen long since. */
function changed(records: Uint8Array[], how: Tampering): Uint8Array[] {
  const at = Math.min(2, records.length - 1);
  if (how === "truncate") return records.slice(0, at);
  if (how === "drop") return records.toSpliced(at, 1);
  // The same past, and another history from there on.
  if (how === "fork") return [...records.slice(0, at), ...records.slice(0, records.length - at)];
  const record = Uint8Array.from(records[at]!);
  record[record.length - 2]! ^= 1;
  return records.with(at, record);
}
