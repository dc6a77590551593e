import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isBiplaneError } from "@biplane/base";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { deriveKey, newKey } from "./crypto.ts";
import { type Journal, type JournalOptions, openJournal } from "./journal.ts";

let folder: string;
const key = newKey();
const opened: Journal[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "biplane-journal-"));
});
afterEach(async () => {
  for (const journal of opened.splice(0)) await journal.close();
  await rm(folder, { recursive: true, force: true });
});

async function openHere(options: Partial<JournalOptions> = {}): Promise<Journal> {
  const journal = await openJournal({ folder, key, name: "test", ...options });
  opened.push(journal);
  return journal;
}

async function contents(journal: Journal, from = 1n): Promise<string[]> {
  const found: string[] = [];
  for await (const { sequence, record } of journal.read(from)) {
    expect(sequence).toBe(from + BigInt(found.length));
    found.push(Buffer.from(record).toString());
  }
  return found;
}

async function files(): Promise<string[]> {
  return (await readdir(folder)).sort().map((file) => join(folder, file));
}

const text = (value: string) => Buffer.from(value);

test("records come back in the order of the calls, across restarts and segments", async () => {
  let journal = await openHere({ segmentBytesMax: 1024 });
  const wanted = Array.from({ length: 200 }, (_, index) => `record ${index} ${"x".repeat(index)}`);
  const sequences = await Promise.all(wanted.slice(0, 150).map((record) => journal.append(text(record))));
  expect(sequences).toEqual(Array.from({ length: 150 }, (_, index) => BigInt(index + 1)));
  await journal.close();
  journal = await openHere({ segmentBytesMax: 1024 });
  expect(journal.lastSequence).toBe(150n);
  for (const record of wanted.slice(150)) await journal.append(text(record));
  expect(await contents(journal)).toEqual(wanted);
  expect(await contents(journal, 120n)).toEqual(wanted.slice(119));
  expect((await files()).length).toBeGreaterThan(5);
});

test("nothing of a record is readable on disk (claim REST-1)", async () => {
  const journal = await openHere();
  await journal.append(text("canary-in-the-journal"));
  await writeFile(join(folder, "control"), "canary-in-the-journal");
  const found: string[] = [];
  for (const file of await files()) {
    if ((await readFile(file)).includes("canary-in-the-journal")) found.push(file);
  }
  expect(found).toEqual([join(folder, "control")]);
});

test("appends that come together share their syncs", async () => {
  const journal = await openHere();
  await Promise.all(Array.from({ length: 1_000 }, (_, index) => journal.append(text(`${index}`))));
  const [file] = await files();
  // One frame costs 36 bytes of header and tag, so 1,000 syncs could not stay below this size.
  expect((await readFile(file!)).length).toBeLessThan(1_000 * 7 + 10 * 36 + 36);
  expect(await contents(journal)).toHaveLength(1_000);
});

test("who looks at groups sees each while the disk syncs it, and once more before its appends resolve", async () => {
  const events: string[] = [];
  const journal = await openHere({
    onSyncing: (records) => {
      const name = records.map((record) => Buffer.from(record).toString()).join(" ");
      events.push(`${name} syncing at ${journal.lastSequence}`);
      return () => events.push(`${name} on disk at ${journal.lastSequence}`);
    },
  });
  await Promise.all([
    journal.keep(text("a")).then(() => events.push("a resolved")),
    journal.appendMany([text("b"), text("c")]).then((last) => events.push(`c resolved to ${last}`)),
  ]);
  expect(await journal.append(text("d"))).toBe(4n);
  expect(events).toEqual([
    ...["a b c syncing at 0", "a b c on disk at 3", "a resolved", "c resolved to 3"],
    ...["d syncing at 3", "d on disk at 4"],
  ]);
  expect(await contents(journal)).toEqual(["a", "b", "c", "d"]);
});

test("a group that the disk refused is not taken for one on disk, and the next one is", async () => {
  const [seen, onDisk]: string[][] = [[], []];
  let isFailing = true;
  const journal = await openHere({
    onSyncing: (records) => {
      seen!.push(`${records.map((record) => Buffer.from(record).toString())}`);
      if (isFailing) throw new Error("the disk failed");
      return () => onDisk!.push(seen!.at(-1)!);
    },
  });
  await expect(journal.keep(text("refused"))).rejects.toThrow("could not be written");
  isFailing = false;
  await journal.keep(text("taken"));
  expect([seen, onDisk]).toEqual([["refused", "taken"], ["taken"]]);
  expect([journal.lastSequence, await contents(journal)]).toEqual([1n, ["taken"]]);
});

test("a reader near the end of a long segment starts near the end", async () => {
  const journal = await openHere();
  const record = text("y".repeat(10_000));
  for (let index = 0; index < 60; index += 1) await journal.append(record);
  await journal.append(text("last"));
  expect(await contents(journal, 61n)).toEqual(["last"]);
  expect(await contents(journal, 30n)).toHaveLength(32);
  expect(await contents(journal, 62n)).toEqual([]);
});

test("a tail sees each record once while others append", async () => {
  const journal = await openHere({ segmentBytesMax: 2_000 });
  const seen: string[] = [];
  const tailing = (async () => {
    for (let next = 1n; next <= 300n && (await journal.waitFor(next)); ) {
      for await (const entry of journal.read(next)) {
        seen.push(Buffer.from(entry.record).toString());
        next = entry.sequence + 1n;
      }
    }
  })();
  for (let index = 0; index < 300; index += 3) {
    await Promise.all([0, 1, 2].map((step) => journal.append(text(`${index + step}`))));
  }
  await tailing;
  expect(seen).toEqual(Array.from({ length: 300 }, (_, index) => `${index}`));
});

test("waiting ends with false when the signal aborts or the journal closes", async () => {
  const journal = await openHere();
  await journal.append(text("one"));
  await expect(journal.waitFor(1n)).resolves.toBe(true);
  const stop = new AbortController();
  const aborted = journal.waitFor(2n, stop.signal);
  const closed = journal.waitFor(2n);
  stop.abort();
  await expect(aborted).resolves.toBe(false);
  await journal.close();
  await expect(closed).resolves.toBe(false);
  await expect(journal.append(text("two"))).rejects.toThrow(/closed/);
});

test("old segments are dropped whole, and the sequence is remembered even with nothing left to read", async () => {
  let journal = await openHere({ segmentBytesMax: 100 });
  for (let index = 1; index <= 20; index += 1) await journal.append(text(`record ${index}`));
  await journal.dropBefore(11n);
  expect(journal.firstSequence).toBeGreaterThan(5n);
  expect(journal.firstSequence).toBeLessThanOrEqual(11n);
  expect((await contents(journal, 11n))[0]).toBe("record 11");
  await expect(contents(journal, 1n)).rejects.toThrow(/no longer has sequence 1/);
  await journal.dropBefore(21n);
  await journal.close();
  const [file] = await files();
  await truncate(file!, 40);
  for (let attempt = 0; attempt < 2; attempt += 1) {
    journal = await openHere({ segmentBytesMax: 100 });
    expect(journal.lastSequence).toBeGreaterThan(15n);
    await journal.close();
  }
});

describe("after a crash", () => {
  test("a last segment cut at any byte keeps exactly the whole writes before the cut", async () => {
    const journal = await openHere();
    const ends: number[] = [];
    for (const record of ["first", "second, longer", "", "fourth"]) {
      await journal.append(text(record));
      ends.push((await readFile((await files())[0]!)).length);
    }
    await journal.close();
    const [file] = await files();
    const whole = await readFile(file!);
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: whole.length }), async (length) => {
        for (const each of await files()) await rm(each);
        await writeFile(file!, whole.subarray(0, length));
        const reopened = await openHere();
        const kept = ends.filter((end) => end <= length).length;
        expect(reopened.lastSequence).toBe(BigInt(kept));
        expect(await reopened.append(text("after"))).toBe(BigInt(kept + 1));
        expect(await contents(reopened)).toEqual(
          ["first", "second, longer", "", "fourth"].slice(0, kept).concat("after"),
        );
        await reopened.close();
      }),
      { numRuns: 1_000, examples: Array.from({ length: whole.length + 1 }, (_, length) => [length]) },
    );
  });

  test("what was appended together survives together", async () => {
    const journal = await openHere();
    await journal.append(text("alone"));
    await journal.appendMany([text("a"), text("b"), text("c")]);
    await journal.close();
    const [file] = await files();
    await truncate(file!, (await readFile(file!)).length - 1);
    expect(await contents(await openHere())).toEqual(["alone"]);
  });

  test("sectors that a power cut left empty are a torn write, not damage", async () => {
    const journal = await openHere();
    await journal.append(text("kept"));
    const [file] = await files();
    const good = await readFile(file!);
    await journal.append(text("z".repeat(5_000)));
    await journal.close();
    const torn = await readFile(file!);
    torn.fill(0, 1024, 1536);
    await writeFile(file!, torn);
    expect(await contents(await openHere())).toEqual(["kept"]);
    expect((await readFile(file!)).length).toBe(good.length);
  });

  test("a flipped byte anywhere in a whole write is an error that names segment and sequence", async () => {
    const journal = await openHere();
    for (const record of ["first", "second", "third"]) await journal.append(text(record));
    await journal.close();
    const [file] = await files();
    const whole = await readFile(file!);
    const copy = join(tmpdir(), `biplane-journal-copy-${process.pid}`);
    await mkdir(copy, { recursive: true });
    for (let index = 0; index < whole.length; index += 1) {
      const changed = Buffer.from(whole);
      changed[index] = changed[index]! ^ 0x40;
      await writeFile(join(copy, "test-00000000000000000001.journal"), changed);
      const failure = await openHere({ folder: copy }).catch((error) => error);
      expect(isBiplaneError(failure, "data_loss")).toBe(true);
      expect(String(failure)).toMatch(/test-0+1\.journal is damaged at sequence [123]\./);
    }
    await rm(copy, { recursive: true });
  });

  test("damage in an older segment is found when it is read, and a missing segment too", async () => {
    const journal = await openHere({ segmentBytesMax: 100 });
    for (let index = 1; index <= 12; index += 1) await journal.append(text(`record ${index}`));
    await journal.close();
    const all = await files();
    const second = await readFile(all[1]!);
    second[second.length - 3] = second[second.length - 3]! ^ 1;
    await copyFile(all[1]!, join(folder, "spare"));
    await writeFile(all[1]!, second);
    const reopened = await openHere();
    await expect(contents(reopened)).rejects.toThrow(/damaged at sequence/);
    await copyFile(join(folder, "spare"), all[1]!);
    expect(await contents(reopened)).toHaveLength(12);
    await rm(all[2]!);
    await expect(contents(await openHere())).rejects.toThrow(/damaged at sequence/);
  });

  test("another key opens nothing", async () => {
    const journal = await openHere();
    await journal.append(text("one"));
    await journal.close();
    await expect(openHere({ key: deriveKey(key, "other") })).rejects.toThrow(/damaged at sequence 1/);
  });
});

test("too much at once is refused, and what waits is bounded", async () => {
  const journal = await openHere();
  await expect(journal.append(new Uint8Array(64 * 1024 * 1024))).rejects.toThrow(/can't take/);
  await expect(journal.append(text("fits"))).resolves.toBe(1n);
});
