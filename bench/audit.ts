/**
 * What audit costs: durable appends in groups, beside the same bytes written and synced in the same groups with nothing
 * else done; and its share of the time until a submission is acknowledged.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { dataLogName, encodeAuditRecord } from "@biplane/audit";
import { createLogger, newKey, systemClock } from "@biplane/kit";
import { type AuditInput, type AuditLog, openAuditLog } from "@biplane/kit/audit-log";
import { shareOfStart } from "./audit-share.ts";
import { timed } from "./runs-common.ts";
import { type BenchRow, ratioRow } from "./types.ts";

/** Requests at once: as many records are written with one sync. */
const groupSizes = [16, 64];
const groups = 400;
const rounds = 3;
const place = { plane: "data", org: "acme", cluster: "home" } as const;

const record: AuditInput = {
  code: "RUN_CREATED",
  decision: "allowed",
  subject: "user:5f0c2a64-8d0e-4a31-9f3e-0f7f9f3c2f11",
  method: "flyteidl2.workflow.RunService/CreateRun",
  project: "flights",
  domain: "development",
  requestId: "0c9c1f0e-7a3b-4c55-9d43-6d9f2f0b7a10",
  address: "192.0.2.17",
  addressFrom: "edge",
};

export async function run(): Promise<BenchRow[]> {
  const folder = mkdtempSync(join(tmpdir(), "biplane-bench-audit-"));
  try {
    const rows: BenchRow[] = [];
    for (const groupRecords of groupSizes) rows.push(await appendsRow(folder, groupRecords));
    return [...rows, await shareOfStart()];
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function appendsRow(folder: string, groupRecords: number): Promise<BenchRow> {
  const appends: number[] = [];
  const syncs: number[] = [];
  // In turns, so that a busy moment of the machine meets both. A plane runs for days: the first turn warms both up.
  for (let round = 0; round <= rounds; round += 1) {
    const name = `${groupRecords}-${round}`;
    const plain = await syncedWritesPerSecond(join(folder, `plain-${name}`), groupRecords);
    const log = await appendsPerSecond(join(folder, `log-${name}`), groupRecords);
    if (round === 0) continue;
    syncs.push(plain);
    appends.push(log);
  }
  const row = {
    measure: `appends.in-groups-of-${groupRecords}`,
    unit: "1/s",
    value: middle(appends),
    reference: `the same bytes, ${groupRecords} records to one fdatasync`,
    referenceValue: middle(syncs),
  };
  return ratioRow(row, { atLeast: 0.5 });
}

async function appendsPerSecond(folder: string, groupRecords: number): Promise<number> {
  const log = await openLog(folder);
  const ms = await timed(async () => {
    for (let group = 0; group < groups; group += 1) {
      await Promise.all(Array.from({ length: groupRecords }, () => log.record(record)));
    }
    // Hashing and the checkpoint belong to it, even though nobody waits for them.
    await log.checkpoint();
  });
  await log.close();
  return (groups * groupRecords * 1_000) / ms;
}

async function syncedWritesPerSecond(path: string, groupRecords: number): Promise<number> {
  const encoded = encodeAuditRecord({ atMs: Date.now(), ...place, ...record });
  const bytes = Buffer.concat(Array.from({ length: groupRecords }, () => encoded));
  const file: FileHandle = await open(path, "w");
  const ms = await timed(async () => {
    for (let group = 0; group < groups; group += 1) {
      await file.write(bytes);
      await file.datasync();
    }
  });
  await file.close();
  return (groups * groupRecords * 1_000) / ms;
}

function openLog(folder: string): Promise<AuditLog> {
  return openAuditLog({
    folder,
    key: newKey(),
    origin: dataLogName(place.org, place.cluster),
    place,
    clock: systemClock,
    log: createLogger({ component: "bench", level: "silent" }),
  });
}

function middle(values: readonly number[]): number {
  return [...values].sort((left, right) => left - right)[Math.floor(values.length / 2)]!;
}
