import { createHash, randomBytes } from "node:crypto";
import { type FileHandle, open as openFile, readdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { KiB, MiB } from "@biplane/base";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { StoreHome } from "../testing/open-store.ts";
import type { ObjectStore } from "../types.ts";

let home: StoreHome;
let nowMs = 1_800_000_000_000;
const clock = { now: () => nowMs };

beforeEach(async () => {
  home = await StoreHome.create(clock);
});
afterEach(() => home.remove());

const prefix = "acme/flights/development/run1/";
const text = (value: string) => Buffer.from(value);

async function open(): Promise<ObjectStore> {
  return (await home.open()).store;
}

async function* pieces(bytes: Uint8Array, pieceBytes: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes);
}

async function bytesOf(store: ObjectStore, key: string, range?: { first: number; last: number }) {
  const content = await store.get(key, range);
  if (content === undefined) return undefined;
  const chunks: Uint8Array[] = [];
  for await (const chunk of content.body) chunks.push(chunk);
  return Buffer.concat(chunks);
}

async function filesBelow(folder: string): Promise<string[]> {
  const found = await readdir(folder, { recursive: true, withFileTypes: true });
  return found.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

const edges = [
  0,
  1,
  64 * KiB,
  64 * KiB + 1,
  MiB - 56 - 1,
  MiB - 56,
  MiB - 56 + 1,
  2 * MiB - 72,
  2 * MiB - 72 + 1,
  5 * MiB + 7,
];

test.each(edges)("an object of %i bytes comes back whole, also after a restart", async (sizeBytes) => {
  let store = await open();
  const content = randomBytes(sizeBytes);
  const head = await store.put(`${prefix}a`, pieces(content, 70_001), {
    contentType: "text/plain",
    metadata: { who: "me" },
  });
  expect(head).toMatchObject({
    sizeBytes,
    etag: `"${createHash("md5").update(content).digest("hex")}"`,
    sha256: createHash("sha256").update(content).digest("hex"),
  });
  store = await open();
  expect(await store.head(`${prefix}a`)).toEqual(head);
  expect((await bytesOf(store, `${prefix}a`))?.equals(content)).toBe(true);
  expect(Buffer.from((await store.read(`${prefix}a`, 6 * MiB))!).equals(content)).toBe(true);
});

test("any range of an object equals the same range of its content", async () => {
  const store = await open();
  const content = randomBytes(3 * MiB + 5);
  await store.put(`${prefix}large`, content);
  await store.put(`${prefix}small`, content.subarray(0, 1_000));
  await fc.assert(
    fc.asyncProperty(fc.nat(content.length - 1), fc.nat(content.length), async (first, length) => {
      const last = first + length;
      const large = await bytesOf(store, `${prefix}large`, { first, last });
      expect(large?.equals(content.subarray(first, last + 1))).toBe(true);
      const small = await bytesOf(store, `${prefix}small`, { first: first % 1_000, last });
      expect(small?.equals(content.subarray(first % 1_000, Math.min(last + 1, 1_000)))).toBe(true);
    }),
    { numRuns: 60, examples: [[MiB - 57, 2]] },
  );
});

test("a missing object is undefined, deleting twice is no error, and a deleted one is gone after a restart", async () => {
  let store = await open();
  await store.put(`${prefix}a`, text("x"));
  await store.delete(`${prefix}a`);
  await store.delete(`${prefix}a`);
  expect(await store.get(`${prefix}a`)).toBeUndefined();
  expect(await store.read(`${prefix}a`, 10)).toBeUndefined();
  store = await open();
  expect(await store.head(`${prefix}a`)).toBeUndefined();
});

test("reading into memory is refused above the limit", async () => {
  const store = await open();
  await store.put(`${prefix}a`, randomBytes(11));
  await expect(store.read(`${prefix}a`, 10)).rejects.toMatchObject({ code: "resource_exhausted" });
  await expect(store.read(`${prefix}a`, 11)).resolves.toHaveLength(11);
});

test("`ifAbsent` lets exactly one of many writers win", async () => {
  const store = await open();
  const writes = Array.from({ length: 20 }, (_, index) =>
    store.put(`${prefix}once`, text(`writer ${index}`), { ifAbsent: true }),
  );
  const settled = await Promise.allSettled(writes);
  const winners = settled.filter(({ status }) => status === "fulfilled");
  const losers = settled.filter(({ status }) => status === "rejected") as PromiseRejectedResult[];
  expect(winners).toHaveLength(1);
  for (const { reason } of losers)
    expect(reason).toMatchObject({ code: "already_exists", reason: "object_exists" });
});

test("a write-once key takes the same bytes again and refuses others, and keeps the first (rule of state 11)", async () => {
  let store = await open();
  const key = "acme/flights/development/uploads/abc/file.bin";
  const first = await store.put(key, text("first"));
  await expect(store.put(key, text("first"))).resolves.toEqual(first);
  store = await open();
  await expect(store.put(key, text("first"))).resolves.toEqual(first);
  await expect(store.put(key, text("other"))).rejects.toMatchObject({
    code: "already_exists",
    reason: "write_once",
  });
  await expect(store.put(key, randomBytes(MiB))).rejects.toMatchObject({ reason: "write_once" });
  expect(String(await bytesOf(store, key))).toBe("first");
  // Control: another key of the same project can be written again.
  await store.put(`${prefix}a`, text("first"));
  await store.put(`${prefix}a`, text("other"));
  expect(String(await bytesOf(store, `${prefix}a`))).toBe("other");
});

test("keys are listed in the order of their bytes, page by page, below a prefix", async () => {
  const store = await open();
  const names = ["b", "a", "a/b", "ä", "\u{1F600}", "\uFFFD", "Z", "a b", "a+b"];
  for (const name of names) await store.put(prefix + name, text(name));
  await store.put("acme/flights/development/run2/x", text("x"));
  const listed: string[] = [];
  for (let after: string | undefined; ; ) {
    const page = await store.list(prefix, { limit: 2, ...(after === undefined ? {} : { after }) });
    if (page.length === 0) break;
    listed.push(...page.map(({ key }) => key.slice(prefix.length)));
    after = page.at(-1)!.key;
  }
  expect(listed).toEqual([...names].sort((left, right) => Buffer.compare(text(left), text(right))));
});

test("a reader that has begun gets the object as it was, whatever happens to its key", async () => {
  const store = await open();
  const before = randomBytes(3 * MiB);
  await store.put(`${prefix}a`, before);
  const content = await store.get(`${prefix}a`);
  const reading = content!.body[Symbol.asyncIterator]();
  const chunks = [(await reading.next()).value as Uint8Array];
  await store.put(`${prefix}a`, text("new"));
  await store.delete(`${prefix}a`);
  for (let next = await reading.next(); !next.done; next = await reading.next()) chunks.push(next.value);
  expect(Buffer.concat(chunks).equals(before)).toBe(true);
  expect(await filesBelow(join(home.folder, "objects/files"))).toEqual([]);
});

test("a body that fails half-way leaves neither an object nor a file", async () => {
  const store = await open();
  async function* broken() {
    yield randomBytes(2 * MiB);
    throw new Error("the sender went away");
  }
  await expect(store.put(`${prefix}a`, broken())).rejects.toThrow("went away");
  expect(await store.head(`${prefix}a`)).toBeUndefined();
  expect(await filesBelow(join(home.folder, "objects/files"))).toEqual([]);
});

describe("on disk", () => {
  test("neither content, key, ETag nor metadata of an object is readable (claim REST-1)", async () => {
    const store = await open();
    const canary = randomBytes(24).toString("hex");
    const content = text(canary.repeat(10));
    const head = await store.put(`${prefix}${canary}`, content, { metadata: { canary } });
    await store.put(`${prefix}large`, text(canary.repeat(40_000)));
    await writeFile(join(home.folder, "control"), canary);
    const found: string[] = [];
    for (const file of await filesBelow(home.folder)) {
      const bytes = await readFile(file);
      if (bytes.includes(canary) || bytes.includes(head.etag.slice(1, -1)) || bytes.includes(prefix)) {
        found.push(file);
      }
    }
    expect(found).toEqual([join(home.folder, "control")]);
  });

  test("a changed byte, a swapped file and a shortened one are refused, never served", async () => {
    const store = await open();
    await store.put(`${prefix}a`, randomBytes(2 * MiB));
    await store.put(`${prefix}b`, randomBytes(2 * MiB));
    const [one, two] = await filesBelow(join(home.folder, "objects/files"));
    const bytes = await readFile(one!);
    const changed = Buffer.from(bytes);
    changed[MiB + 99] = changed[MiB + 99]! ^ 1;
    const damage = async (content: Buffer) => {
      await writeFile(one!, content);
      return Promise.allSettled([bytesOf(store, `${prefix}a`), bytesOf(store, `${prefix}b`)]);
    };
    for (const content of [changed, await readFile(two!), bytes.subarray(0, MiB + 10)]) {
      const failures = (await damage(content)).filter(({ status }) => status === "rejected");
      expect(failures).toMatchObject([{ reason: { code: "data_loss", reason: "object_damaged" } }]);
    }
    const healed = await damage(bytes);
    expect(healed.map(({ status }) => status)).toEqual(["fulfilled", "fulfilled"]);
  });

  test("a byte changed anywhere, segments in another order and a stream that ends early are refused", async () => {
    const store = await open();
    await store.put(`${prefix}a`, randomBytes(4 * MiB - 500));
    const [file] = await filesBelow(join(home.folder, "objects/files"));
    const bytes = await readFile(file!);
    const [headerBytes, tagBytes] = [40, 16];
    const segments = [0, MiB, 2 * MiB, 3 * MiB].map((start) => bytes.subarray(start, start + MiB));
    // Every byte of the header; of each segment its first and last ones, its tag, and some between.
    const places = segments.flatMap((segment, index) => [
      ...(index === 0 ? Array.from({ length: headerBytes }, (_, at) => at) : []),
      ...Array.from({ length: tagBytes + 4 }, (_, at) => index * MiB + segment.length - 1 - at),
      ...[0, 1, 4_096, 300_000, 700_001].map((at) => index * MiB + (index === 0 ? headerBytes : 0) + at),
    ]);
    const read = async (content: Buffer) => {
      await writeFile(file!, content);
      return bytesOf(store, `${prefix}a`).then(
        () => "read",
        (error: { reason?: string }) => error.reason,
      );
    };
    for (const place of places) {
      const changed = Buffer.from(bytes);
      changed[place] = changed[place]! ^ 0x80;
      expect(await read(changed), `byte ${place}`).toBe("object_damaged");
    }
    const [first, second, third, last] = segments;
    for (const order of [
      [first, third, second, last],
      [first, second, second, last],
      [first, second, last, third],
      [first, second, last],
      [first, second, third],
      [first, second],
      [first],
    ]) {
      expect(await read(Buffer.concat(order.map((one) => one!)))).toBe("object_damaged");
    }
    expect(await read(bytes)).toBe("read");
  });

  test("a disabled customer key stops open streams and new reads within a second (claim CMK-1)", async () => {
    const store = await open();
    await store.put(`${prefix}a`, randomBytes(4 * MiB));
    const reading = (await store.get(`${prefix}a`))!.body[Symbol.asyncIterator]();
    await reading.next();
    const keyFile = join(home.customerKeysFolder, "customer-1.key");
    await rename(keyFile, `${home.folder}/away`);
    nowMs += 1_001;
    await expect(reading.next()).rejects.toMatchObject({ reason: "key_disabled" });
    await expect(bytesOf(store, `${prefix}a`)).rejects.toMatchObject({ reason: "key_disabled" });
    await expect(store.put(`${prefix}b`, text("x"))).rejects.toMatchObject({ reason: "key_disabled" });
    expect(await store.head(`${prefix}a`)).toMatchObject({ sizeBytes: 4 * MiB });
    await rename(`${home.folder}/away`, keyFile);
    expect(await bytesOf(store, `${prefix}a`)).toHaveLength(4 * MiB);
  });

  test("space of small objects that were deleted is given back, and the rest stays", async () => {
    let store = await open();
    for (let round = 0; round < 5; round += 1) {
      for (let index = 0; index < 20; index += 1) {
        await store.put(`${prefix}${round}/${index}`, randomBytes(10_000));
      }
      store = await open();
    }
    const kept = await bytesOf(store, `${prefix}3/7`);
    for (const { key } of await store.list(prefix, { limit: 1_000 })) {
      if (!key.endsWith("/7")) await store.delete(key);
    }
    store = await open();
    const packs = async () => (await filesBelow(join(home.folder, "objects/packs"))).length;
    await expect.poll(packs, { timeout: 10_000 }).toBeLessThan(4);
    expect((await bytesOf(store, `${prefix}3/7`))?.equals(kept!)).toBe(true);
    expect(await store.list(prefix, { limit: 100 })).toHaveLength(5);
  });

  test("the catalog is the same after any mix of changes, snapshots and restarts", async () => {
    const model = new Map<string, string>();
    let store = (await home.open({ snapshotEveryMin: 10 })).store;
    const change = fc.record({ key: fc.nat(15), value: fc.option(fc.string()), restart: fc.nat(19) });
    await fc.assert(
      fc.asyncProperty(fc.array(change, { maxLength: 60 }), async (changes) => {
        for (const { key, value, restart } of changes) {
          const name = `${prefix}${key}`;
          if (value === null) await store.delete(name);
          else await store.put(name, text(value));
          if (value === null) model.delete(name);
          else model.set(name, value);
          if (restart === 0) store = (await home.open({ snapshotEveryMin: 10 })).store;
        }
        const listed = await store.list(prefix, { limit: 100 });
        expect(listed.map(({ key }) => key)).toEqual([...model.keys()].sort());
        for (const [key, value] of model) expect(String(await bytesOf(store, key))).toBe(value);
      }),
      { numRuns: 12 },
    );
    await expect.poll(() => readdir(join(home.folder, "objects/catalog/snapshots"))).toHaveLength(1);
  });
});

test("what is acknowledged was synced first: its content, its name, its line in the journal", async () => {
  const store = await open();
  await store.put(`${prefix}warm`, text("x"));
  const probe = await openFile(join(home.folder, "probe"), "w");
  const handles = Object.getPrototypeOf(probe) as FileHandle;
  await probe.close();
  const datasync = vi.spyOn(handles, "datasync");
  const sync = vi.spyOn(handles, "sync");
  const counted = async (work: () => Promise<unknown>) => {
    datasync.mockClear();
    sync.mockClear();
    await work();
    await Promise.all([...datasync.mock.results, ...sync.mock.results].map(({ value }) => value));
    return [datasync.mock.calls.length, sync.mock.calls.length];
  };
  expect(await counted(() => store.put(`${prefix}small`, text("x")))).toEqual([2, 0]);
  expect(await counted(() => store.put(`${prefix}large`, randomBytes(MiB)))).toEqual([2, 1]);
  expect(await counted(() => store.delete(`${prefix}small`))).toEqual([1, 0]);
  expect(await counted(() => store.get(`${prefix}large`))).toEqual([0, 0]);
  const together = Array.from({ length: 100 }, (_, index) => store.put(`${prefix}${index}`, text("x")));
  const [shared] = await counted(() => Promise.all(together));
  expect(shared).toBeLessThan(50);
  vi.restoreAllMocks();
});

test("new content is refused while the disk is nearly full, reading and deleting go on", async () => {
  await (await open()).put(`${prefix}a`, text("kept"));
  const store = (await home.open({ freeBytesMin: Number.MAX_SAFE_INTEGER })).store;
  await expect(store.put(`${prefix}b`, text("x"))).rejects.toMatchObject({ reason: "disk_full" });
  expect(await store.head(`${prefix}b`)).toBeUndefined();
  expect(String(await bytesOf(store, `${prefix}a`))).toBe("kept");
  await store.delete(`${prefix}a`);
  expect(await store.head(`${prefix}a`)).toBeUndefined();
});

test.each(["", "x".repeat(1_025), "a\0b"])("the key %j is refused", async (key) => {
  await expect((await open()).put(key, text("x"))).rejects.toMatchObject({ code: "invalid_argument" });
});
