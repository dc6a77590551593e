import { mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type AttemptId, BiplaneError } from "@biplane/base";
import { createLogger, type Key, newKey } from "@biplane/kit";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { ScopedKeys } from "../keys/types.ts";
import { openLogStore } from "./log-store.ts";
import { firstKept, logLimits } from "./retention.ts";
import type { LogLine, LogStore } from "./types.ts";

const systemKey = newKey();
let folder = "";

/** Two projects' keys, which can be disabled. */
class TestKeys implements ScopedKeys {
  disabled = false;
  readonly #keys = new Map<string, Key>();

  async current(scope: string) {
    if (!this.#keys.has(scope)) this.#keys.set(scope, newKey());
    return { id: scope, key: await this.get(scope) };
  }

  async get(id: string): Promise<Key> {
    const key = this.#keys.get(id);
    if (key === undefined || this.disabled)
      throw new BiplaneError("failed_precondition", "The key is disabled.");
    return key;
  }
}

const keys = new TestKeys();
const clock = { now: () => Date.now() };
const log = createLogger({ component: "test", level: "silent" });

function openStore(limits = logLimits(), segmentBytesMax?: number) {
  const parts = { folder, systemKey, keys, clock, log, limits };
  return openLogStore({ ...parts, ...(segmentBytesMax === undefined ? {} : { segmentBytesMax }) });
}

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "biplane-logs-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

function attempt(action: string, number = 1): AttemptId {
  const names = { org: "acme", project: "flights", domain: "development", run: "r1", action };
  return { ...names, attempt: number } as AttemptId;
}

function line(message: string, atMs = 1): LogLine {
  return { atMs, originator: "user", message };
}

async function readAll(store: LogStore, id: AttemptId): Promise<LogLine[]> {
  const lines: LogLine[] = [];
  for await (const batch of store.tail(id, new AbortController().signal)) lines.push(...batch);
  return lines;
}

test("LOG-1, LOG-2: a tail of a running attempt and a read after a restart give the same lines in the same order", async () => {
  const store = await openStore();
  const writer = await store.open(attempt("a0"));
  const live = readAll(store, attempt("a0"));
  const written: LogLine[] = [];
  for (let number = 0; number < 300; number += 1) {
    const batch: LogLine[] = [
      line(`line ${number} \u{1f680}\u0000\ufffd\n`, number),
      { atMs: number, originator: "system", message: "a note\n" },
    ];
    written.push(...batch);
    await writer.append(batch);
  }
  await writer.append([line("no newline at the end", 300)]);
  written.push(line("no newline at the end", 300));
  await writer.close();
  expect(await live).toEqual(written);
  await store.close();

  const again = await openStore();
  expect(await readAll(again, attempt("a0"))).toEqual(written);
  await again.close();
});

test("each attempt has its own lines, however many print at once", async () => {
  const store = await openStore();
  const actions = Array.from({ length: 50 }, (_, number) => `a${number}`);
  await Promise.all(
    actions.map(async (action) => {
      const writer = await store.open(attempt(action));
      for (let number = 0; number < 20; number += 1) await writer.append([line(`${action} ${number}\n`)]);
      await writer.close();
    }),
  );
  for (const action of actions) {
    const lines = await readAll(store, attempt(action));
    expect(lines.map((one) => one.message)).toEqual(
      Array.from({ length: 20 }, (_, number) => `${action} ${number}\n`),
    );
  }
  expect(await store.has(attempt("a0"))).toBe(true);
  expect(await store.has(attempt("a0", 2))).toBe(false);
  await store.close();
});

test("what was acknowledged is there when the store was never closed", async () => {
  const lost = await openStore();
  const writer = await lost.open(attempt("a0"));
  await writer.append([line("before the crash\n")]);

  const found = await openStore();
  expect(await readAll(found, attempt("a0"))).toEqual([line("before the crash\n")]);
  await found.close();
  await lost.close();
});

test("an index checkpoint and the batches after it make one log", async () => {
  const store = await openStore();
  const writer = await store.open(attempt("a0"));
  const messages = Array.from({ length: 5_000 }, (_, number) => `${number}\n`);
  await Promise.all(messages.map((message) => writer.append([line(message)])));

  const again = await openStore();
  expect((await readAll(again, attempt("a0"))).map((one) => one.message)).toEqual(messages);
  await again.close();
  await store.close();
});

test("CMK-1: with the customer's key disabled no line is read, and it is again once the key is enabled", async () => {
  const store = await openStore();
  const writer = await store.open(attempt("a0"));
  await writer.append([line("before\n")]);
  await writer.close();
  keys.disabled = true;
  await expect(readAll(store, attempt("a0"))).rejects.toThrow("The key is disabled.");
  await expect(writer.append([line("meanwhile\n")])).rejects.toThrow("The key is disabled.");
  keys.disabled = false;
  expect(await readAll(store, attempt("a0"))).toEqual([line("before\n")]);
  await store.close();
});

test("where lines could not be stored a line says how many, and only there", async () => {
  const store = await openStore();
  const writer = await store.open(attempt("a0"));
  await writer.append([line("first\n")]);
  keys.disabled = true;
  await expect(writer.append([line("second\n"), line("third\n")])).rejects.toThrow();
  keys.disabled = false;
  await writer.append([line("fourth\n", 4)]);
  await writer.append([line("fifth\n", 5)]);
  await writer.close();
  const note = {
    atMs: 4,
    originator: "system",
    message: expect.stringMatching(/^2 lines are missing here\./),
  };
  const told = [line("first\n"), note, line("fourth\n", 4), line("fifth\n", 5)];
  expect(await readAll(store, attempt("a0"))).toEqual(told);
  await store.close();
});

test("a tail ends when its reader leaves, and a log nobody wrote is empty", async () => {
  const store = await openStore();
  const writer = await store.open(attempt("a0"));
  const leaving = new AbortController();
  const tail = store.tail(attempt("a0"), leaving.signal)[Symbol.asyncIterator]();
  const next = tail.next();
  leaving.abort();
  expect(await next).toEqual({ done: true, value: undefined });
  expect(await readAll(store, attempt("never"))).toEqual([]);
  await writer.close();
  await store.close();
});

test("nothing that was printed is readable in the files", async () => {
  const store = await openStore();
  const writer = await store.open(attempt("a0"));
  await writer.append([line("canary-5d0c3f\n")]);
  await store.close();
  const files = await readdir(folder);
  const contents = await Promise.all(files.map((name) => readFile(join(folder, name))));
  expect(files.length).toBeGreaterThan(0);
  expect(Buffer.concat(contents).includes("canary-5d0c3f")).toBe(false);
});

/** Files of a few KiB, so that there are many. */
const smallFile = 4_096;

async function print(store: LogStore, action: string, count: number): Promise<string[]> {
  const writer = await store.open(attempt(action));
  const messages = Array.from({ length: count }, (_, number) => `${action} ${number} ${"x".repeat(900)}\n`);
  for (const message of messages) await writer.append([line(message)]);
  await writer.close();
  return messages;
}

test("the oldest lines go when the newer ones need their place, and are gone after a restart too", async () => {
  const limits = { ...logLimits(), bytesMax: 64 * 1_024 };
  const store = await openStore(limits, smallFile);
  await print(store, "old", 100);
  const newest = await print(store, "new", 100);
  await store.close();

  for (let start = 0; start < 2; start += 1) {
    const again = await openStore(limits, smallFile);
    expect(await again.has(attempt("old"))).toBe(false);
    expect(await readAll(again, attempt("old"))).toEqual([]);
    const [note, ...kept] = (await readAll(again, attempt("new"))).map((one) => one.message);
    expect(kept.length).toBeGreaterThan(20);
    expect(kept).toEqual(newest.slice(-kept.length));
    expect(note).toContain(`${newest.length - kept.length} lines are missing here.`);
    expect(await bytesOnDisk()).toBeLessThan(limits.bytesMax + 3 * smallFile);
    await again.close();
  }
});

test("control: within the limits everything stays", async () => {
  const store = await openStore(logLimits(), smallFile);
  const [old, young] = [await print(store, "old", 100), await print(store, "new", 100)];
  await store.close();
  const again = await openStore(logLimits(), smallFile);
  expect((await readAll(again, attempt("old"))).map((one) => one.message)).toEqual(old);
  expect((await readAll(again, attempt("new"))).map((one) => one.message)).toEqual(young);
  await again.close();
});

test("lines go when they are too old; the file that is being written stays", () => {
  const segments = [1n, 11n, 21n].map((firstSequence, index) => ({
    firstSequence,
    bytes: 10,
    writtenAtMs: index * 1_000,
  }));
  const limits = { bytesMax: 1_000, ageMsMax: 1_500 };
  expect(firstKept(segments, limits, 1_000)).toBe(1n);
  expect(firstKept(segments, limits, 2_000)).toBe(11n);
  expect(firstKept(segments, limits, 1_000_000)).toBe(21n);
  expect(firstKept(segments, { ...limits, bytesMax: 20 }, 1_000)).toBe(11n);
});

async function bytesOnDisk(): Promise<number> {
  const files = (await readdir(folder)).filter((name) => name.startsWith("lines-"));
  const sizes = await Promise.all(files.map(async (name) => (await stat(join(folder, name))).size));
  return sizes.reduce((sum, size) => sum + size, 0);
}
