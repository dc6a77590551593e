import { expect, test } from "vitest";
import { GroupWriter } from "./group-writer.ts";

function recorded(write: (items: readonly string[]) => Promise<void> = async () => {}) {
  const groups: (readonly string[])[] = [];
  const writer = new GroupWriter<string, string>({
    groupBytesMax: 10,
    write: async (items) => {
      groups.push(items);
      await write(items);
      return items.map((item) => `${item} written`);
    },
    cleanUp: async (cause) => new Error("cleaned up", { cause }),
  });
  return { groups, writer };
}

test("appends of one turn share a write, up to its bound, in their order", async () => {
  const { groups, writer } = recorded();
  const results = Promise.all(["a", "b", "c", "d"].map((item) => writer.append(item, 4)));
  expect(writer.waitingBytes).toBe(16);
  expect(await results).toEqual(["a written", "b written", "c written", "d written"]);
  expect(groups).toEqual([
    ["a", "b"],
    ["c", "d"],
  ]);
  expect(writer.waitingBytes).toBe(0);
});

test("items that need no result share a promise for each group, and its failure", async () => {
  const { groups, writer } = recorded(async (items) => {
    if (items.includes("bad")) throw new Error("the disk is full");
  });
  const [first, second] = [writer.join("a", 4), writer.join("b", 4)];
  const own = writer.append("c", 2);
  const next = writer.join("bad", 4);
  expect(second).toBe(first);
  expect(next).not.toBe(first);
  await expect(next).rejects.toMatchObject({ message: "cleaned up" });
  await first;
  expect(await own).toBe("c written");
  expect(groups).toEqual([["a", "b", "c"], ["bad"]]);
});

test("an item larger than the bound goes alone", async () => {
  const { groups, writer } = recorded();
  await Promise.all([writer.append("large", 100), writer.append("small", 1)]);
  expect(groups).toEqual([["large"], ["small"]]);
});

test("a failed group hears what the clean-up made of it, and the next group is written", async () => {
  const { writer } = recorded(async (items) => {
    if (items.includes("bad")) throw new Error("the disk is full");
  });
  const bad = writer.append("bad", 9);
  const good = writer.append("good", 9);
  await expect(bad).rejects.toMatchObject({ message: "cleaned up", cause: { message: "the disk is full" } });
  expect(await good).toBe("good written");
});

test("idle waits for everything that was appended", async () => {
  const { groups, writer } = recorded();
  void writer.append("a", 9);
  void writer.append("b", 9);
  await writer.idle();
  expect(groups).toHaveLength(2);
  await writer.idle();
});
