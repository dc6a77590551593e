import fc from "fast-check";
import { expect, test } from "vitest";
import { BoundedQueue } from "./index.ts";

test("a producer waits for room, and nothing is lost, doubled or reordered", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.integer(), { maxLength: 200 }),
      fc.integer({ min: 1, max: 8 }),
      async (items, capacity) => {
        const queue = new BoundedQueue<number>(capacity);
        const producing = (async () => {
          for (const item of items) {
            await queue.push(item);
            expect(queue.length).toBeLessThanOrEqual(capacity);
          }
          queue.close();
        })();
        const taken: number[] = [];
        for await (const item of queue) taken.push(item);
        await producing;
        expect(taken).toEqual(items);
      },
    ),
  );
});

test("a full queue takes nothing more, and closing lets waiting producers go", async () => {
  const queue = new BoundedQueue<string>(1);
  expect(queue.tryPush("first")).toBe(true);
  expect(queue.tryPush("second")).toBe(false);
  const waiting = queue.push("third");
  queue.close();
  expect(await waiting).toBe(false);
});

test("a group holds what is queued, in order and never more than asked for", async () => {
  const queue = new BoundedQueue<number>(10);
  for (let item = 0; item < 7; item += 1) queue.tryPush(item);
  queue.close();
  const groups: number[][] = [];
  for await (const group of queue.groups(3)) groups.push(group);
  expect(groups).toEqual([[0, 1, 2], [3, 4, 5], [6]]);
});
