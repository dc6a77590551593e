import { expect, test } from "vitest";
import { Committer } from "./committer.ts";
import { GroupedReads } from "./grouped-reads.ts";

interface Fixture {
  readonly committer: Committer<string[]>;
  readonly written: string[][];
  failNext: boolean;
  readonly recovered: unknown[];
}

/** Each transaction takes a moment, as a disk does. */
function openCommitter(): Fixture {
  const fixture: Fixture = {
    written: [],
    recovered: [],
    failNext: false,
    committer: new Committer<string[]>({
      newBatch: () => [],
      isEmpty: (batch) => batch.length === 0,
      write: async (batch) => {
        await new Promise((resolve) => setTimeout(resolve, 5));
        if (fixture.failNext) {
          fixture.failNext = false;
          throw new Error("disk full");
        }
        fixture.written.push(batch);
      },
      recover: async (error) => {
        fixture.recovered.push(error);
      },
      failure: () => new Error("not stored"),
    }),
  };
  return fixture;
}

function change(fixture: Fixture, name: string): Promise<void> {
  fixture.committer.batch.push(name);
  return fixture.committer.commit();
}

test("changes decided while a transaction is under way share the next one, in their order", async () => {
  const fixture = openCommitter();
  const first = change(fixture, "a");
  await new Promise((resolve) => setTimeout(resolve, 2));
  const others = ["b", "c", "d"].map((name) => change(fixture, name));
  await first;
  expect(fixture.written).toEqual([["a"]]);
  await Promise.all(others);
  expect(fixture.written).toEqual([["a"], ["b", "c", "d"]]);
});

test("a change decided in the very step after a commit is written without another one's help", async () => {
  const fixture = openCommitter();
  for (let turn = 0; turn < 50; turn += 1) await change(fixture, `turn ${turn}`);
  expect(fixture.written.flat()).toHaveLength(50);
});

test("waiting without a change of one's own costs no transaction, and waits for what is under way", async () => {
  const fixture = openCommitter();
  await fixture.committer.commit();
  expect(fixture.written).toEqual([]);
  void change(fixture, "a");
  await new Promise((resolve) => setTimeout(resolve, 2));
  await fixture.committer.commit();
  expect(fixture.written).toEqual([["a"]]);
});

test("a failed transaction takes the changes decided on top of it along, and later ones are written", async () => {
  const fixture = openCommitter();
  fixture.failNext = true;
  const lost = change(fixture, "a");
  await new Promise((resolve) => setTimeout(resolve, 2));
  const onTop = change(fixture, "b");
  await expect(lost).rejects.toThrow("not stored");
  await expect(onTop).rejects.toThrow("not stored");
  expect(fixture.recovered).toHaveLength(1);
  await change(fixture, "c");
  expect(fixture.written).toEqual([["c"]]);
});

test("exclusive work runs between transactions, with what was decided before it written", async () => {
  const fixture = openCommitter();
  const before = change(fixture, "before");
  let seen: string[][] = [];
  const exclusive = fixture.committer.exclusively(async () => {
    seen = [...fixture.written];
    void change(fixture, "during");
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(fixture.written).toEqual([["before"]]);
  });
  await Promise.all([before, exclusive]);
  await fixture.committer.settle();
  expect(seen).toEqual([["before"]]);
  expect(fixture.written).toEqual([["before"], ["during"]]);
});

test("reads asked for together, or while one is under way, share a read; a failed one fails for its own alone", async () => {
  const reads: (readonly string[])[] = [];
  const grouped = new GroupedReads<string, string>(async (keys) => {
    reads.push(keys);
    await new Promise((resolve) => setTimeout(resolve, 5));
    if (keys.includes("broken")) throw new Error("unreachable");
    return new Map(keys.filter((key) => key !== "absent").map((key) => [key, key.toUpperCase()]));
  });
  const first = [grouped.get("a"), grouped.get("a"), grouped.get("absent")];
  await new Promise((resolve) => setTimeout(resolve, 2));
  const second = [grouped.get("b"), grouped.get("broken")];
  expect(await Promise.all(first)).toEqual(["A", "A", undefined]);
  await Promise.all(second.map((answer) => expect(answer).rejects.toThrow("unreachable")));
  expect(await grouped.get("c")).toBe("C");
  expect(reads).toEqual([["a", "absent"], ["b", "broken"], ["c"]]);
});

test("what has no haste rides along with the next transaction", async () => {
  const fixture = openCommitter();
  fixture.committer.batch.push("later");
  const later = fixture.committer.commitWithin(60_000);
  await change(fixture, "now");
  await later;
  expect(fixture.written).toEqual([["later", "now"]]);
});

test("what has no haste is written when its time is over, though nothing else is", async () => {
  const fixture = openCommitter();
  fixture.committer.batch.push("alone");
  await fixture.committer.commitWithin(1);
  expect(fixture.written).toEqual([["alone"]]);
});

test("what has no haste is written before a shutdown", async () => {
  const fixture = openCommitter();
  fixture.committer.batch.push("last");
  const last = fixture.committer.commitWithin(60_000);
  await fixture.committer.settle();
  await last;
  expect(fixture.written).toEqual([["last"]]);
});
