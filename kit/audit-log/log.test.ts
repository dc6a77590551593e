/** The log of either plane: what it promises, and that it names what was done to it (claims AUD-3, TRUST-4). */
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { decodeAuditRecord, decodeBundle, encodeAuditRecord, isSignedBy, leafHash } from "@biplane/audit";
import { afterEach, beforeEach, expect, test } from "vitest";
import { newKey } from "../crypto.ts";
import { check, fill, openTestLog, quiet, rewriteRecords } from "./log.testing.ts";
import { type AuditLog, eventOf } from "./log.ts";
import { RefusalRecorder } from "./refusals.ts";
import { dropOlderThan } from "./retention.ts";

const key = newKey();
let folder: string;
let log: AuditLog | undefined;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "biplane-audit-log-"));
});
afterEach(async () => {
  await log?.close().catch(() => undefined);
  log = undefined;
  rmSync(folder, { recursive: true, force: true });
});

/** Opens, fills, closes; and leaves a log of so many records that is signed to its end. */
async function writeLog(count: number): Promise<void> {
  const written = await openTestLog(folder, key);
  await fill(written, count);
  await written.close();
}

async function reopen(): Promise<AuditLog> {
  log = await openTestLog(folder, key);
  await log.checkpoint();
  return log;
}

async function codes(from: AuditLog): Promise<string[]> {
  const all: string[] = [];
  for await (const { record } of from.read()) all.push(decodeAuditRecord(record).code);
  return all;
}

test.each([1, 255, 256, 257, 700])(
  "an untouched log of %i records verifies, closed and opened",
  async (count) => {
    await writeLog(count);
    const opened = await reopen();
    expect(await check(opened)).toMatchObject({ size: count, recordsChecked: count, problem: undefined });
    await fill(opened, 3);
    await opened.checkpoint();
    expect(await check(opened)).toMatchObject({ size: count + 3, problem: undefined });
  },
);

test("checkpoints are signed while records come, each in a bounded time after them", async () => {
  log = await openTestLog(folder, key, { checkpointMs: 5 });
  const signed = new Promise<void>((resolve) => void log!.onCheckpoint(resolve));
  await fill(log, 10);
  await signed;
  expect(log.latest!.size).toBe(10);
  expect(isSignedBy(log.latest!, log.signer)).toBe(true);
});

test("records that a crash left without a checkpoint are in the next one", async () => {
  const crashed = await openTestLog(folder, key, { checkpointMs: 3_600_000 });
  await fill(crashed, 300);
  const copy = mkdtempSync(join(tmpdir(), "biplane-audit-crash-"));
  cpSync(folder, copy, { recursive: true });
  await crashed.close();
  const opened = await openTestLog(copy, key);
  await opened.checkpoint();
  expect(await check(opened)).toMatchObject({ size: 300, problem: undefined });
  await opened.close();
  rmSync(copy, { recursive: true });
});

test("the log is served as tiles and bundles of the layout", async () => {
  await writeLog(300);
  const opened = await reopen();
  const bundle = decodeBundle((await opened.bundle(1, 44))!);
  const tile = await opened.tile({ level: 0, index: 1, width: 44 });
  expect(bundle.map((record) => leafHash(record))).toEqual(tile);
  expect(await opened.bundle(1, 45)).toBeUndefined();
});

test("one flipped byte of a record is found, and the record is named", async () => {
  await writeLog(3);
  const opened = await reopen();
  await fill(opened, 2);
  await opened.checkpoint();
  const segments = readdirSync(folder).filter((name) => name.startsWith("audit-"));
  const path = join(folder, segments.at(-1)!);
  const bytes = readFileSync(path);
  bytes[bytes.length - 30]! ^= 1;
  writeFileSync(path, bytes);
  expect((await check(opened)).problem).toMatchObject({
    index: 3,
    what: expect.stringContaining("can't be read"),
  });
});

test("a record that somebody with the key wrote anew is found, and named", async () => {
  await writeLog(400);
  await rewriteRecords(folder, key, (records) =>
    records.with(123, encodeAuditRecord({ ...decodeAuditRecord(records[123]!), subject: "somebody else" })),
  );
  expect((await check(await reopen())).problem).toMatchObject({ index: 123 });
});

test("a dropped record is found, and the first one that is wrong is named", async () => {
  await writeLog(400);
  await rewriteRecords(folder, key, (records) => records.toSpliced(200, 1));
  const opened = await reopen();
  expect((await check(opened)).problem).toMatchObject({ index: 200 });
  expect((await codes(opened)).slice(399)).toEqual(["AUDIT_RECORD_LOST", "AUDIT_LOG_DAMAGED"]);
});

test("a truncated tail is found at once, marked in its place, and stays found", async () => {
  await writeLog(5);
  const later = await openTestLog(folder, key);
  await fill(later, 3);
  await later.close();
  const segments = readdirSync(folder).filter((name) => name.startsWith("audit-"));
  expect(segments.length).toBe(2);
  truncateSync(join(folder, segments[1]!), 36);
  const opened = await reopen();
  expect((await codes(opened)).slice(5)).toEqual([
    ...Array.from({ length: 3 }, () => "AUDIT_RECORD_LOST"),
    "AUDIT_LOG_DAMAGED",
  ]);
  expect((await check(opened)).problem).toMatchObject({ index: 5 });
  await fill(opened, 2);
  await opened.close();
  expect((await check(await reopen())).problem).toMatchObject({ index: 5 });
});

test("a log that was replaced as a whole is found by whoever remembers a checkpoint of it", async () => {
  await writeLog(5);
  const seen: { size: number; root: Uint8Array; by: string }[] = [];
  const first = await openTestLog(folder, key);
  seen.push({ ...first.latest!, by: "the other plane" });
  await fill(first, 4);
  await first.checkpoint();
  seen.push({ ...first.latest!, by: "the other plane" });
  await first.close();
  for (const name of readdirSync(folder)) rmSync(join(folder, name));
  await writeLog(5);
  const forked = await reopen();
  expect((await check(forked, seen)).problem).toMatchObject({
    index: 5,
    what: expect.stringContaining("the other plane has 9 records"),
  });
  await fill(forked, 4, "another past");
  await forked.checkpoint();
  expect((await check(forked, seen)).problem).toMatchObject({ index: 5 });
});

test("control: hashes that were changed with the records are found by the log's own checkpoint", async () => {
  await writeLog(300);
  for (const name of readdirSync(folder)) {
    if (name.startsWith("tiles-")) rmSync(join(folder, name));
  }
  await rewriteRecords(folder, key, (records) => records.with(7, records[8]!));
  const opened = await reopen();
  expect((await codes(opened)).at(-1)).toBe("AUDIT_LOG_DAMAGED");
});

test("records older than their retention go, their hashes stay, and the drop is on record", async () => {
  const opened = await openTestLog(folder, key, { segmentBytesMax: 16_384 });
  log = opened;
  for (let round = 0; round < 10; round += 1) await fill(opened, 60, `round-${round}`);
  const dropped = await opened.dropBefore(550);
  expect(dropped).toBeGreaterThan(200);
  expect(opened.firstIndex).toBe(dropped);
  expect(dropped).toBeLessThanOrEqual(512);
  await opened.checkpoint();
  expect((await codes(opened)).at(-1)).toBe("AUDIT_RECORDS_DROPPED");
  expect(await check(opened)).toMatchObject({ size: 601, recordsChecked: 601 - dropped, problem: undefined });
  await opened.close();
  const again = await reopen();
  expect(await check(again)).toMatchObject({ size: 601, problem: undefined });
  expect(await again.dropBefore(10)).toBe(0);
});

test("records go by their age, and only those that are older", async () => {
  let nowMs = 1_000;
  log = await openTestLog(folder, key, { segmentBytesMax: 8_192, clock: { now: () => nowMs } });
  for (let day = 0; day < 12; day += 1, nowMs += 1_000) await fill(log, 60);
  expect(await dropOlderThan(log, 1_000)).toBe(0);
  const dropped = await dropOlderThan(log, 6_000);
  expect(dropped).toBeGreaterThan(100);
  for await (const { atMs } of log.readRecords()) {
    expect(atMs).toBeGreaterThanOrEqual(1_000 + Math.floor(dropped / 60) * 1_000);
    break;
  }
  await log.checkpoint();
  expect((await check(log)).problem).toBeUndefined();
});

test("refusals are recorded one by one up to the bound, and counted by address and reason beyond it", async () => {
  log = await openTestLog(folder, key);
  const refusals = new RefusalRecorder(log, { now: () => 1 }, quiet, {
    recordsMax: 5,
    intervalMs: 3_600_000,
  });
  const from = (address: string, reason: string) =>
    refusals.record(eventOf("REQUEST_REFUSED", { decision: "unauthenticated", address, reason }));
  for (let count = 0; count < 5; count += 1) await from("192.0.2.1", "no_token");
  expect((await codes(log)).length).toBe(5);
  for (let count = 0; count < 100; count += 1) await from("192.0.2.1", "no_token");
  for (let count = 0; count < 7; count += 1) await from("192.0.2.2", "no_token");
  await refusals.close();
  const summaries = [];
  for await (const { code, address, count } of log.readRecords(5)) summaries.push([code, address, count]);
  expect(summaries).toEqual([
    ["REQUESTS_SUMMARIZED", "192.0.2.1", 100],
    ["REQUESTS_SUMMARIZED", "192.0.2.2", 7],
  ]);
});

test("however many addresses there are, so many are counted apart and no more", async () => {
  log = await openTestLog(folder, key);
  const refusals = new RefusalRecorder(log, { now: () => 1 }, quiet, {
    recordsMax: 0,
    intervalMs: 3_600_000,
  });
  for (let count = 0; count < 1_000; count += 1) {
    await refusals.record(eventOf("REQUEST_REFUSED", { address: `address-${count}` }));
  }
  await refusals.close();
  let sum = 0;
  for await (const { count } of log.readRecords()) sum += count ?? 0;
  expect([sum, log.size]).toEqual([1_000, 257]);
});

test("nothing of a record can be read in the files (claim REST-1)", async () => {
  log = await openTestLog(folder, key);
  await fill(log, 300, "canary-4711");
  await log.close();
  for (const name of readdirSync(folder)) {
    expect(readFileSync(join(folder, name)).includes("canary-4711"), name).toBe(false);
  }
});
