import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Lease } from "../runs/types.ts";
import { LeasesAhead } from "./leases-ahead.ts";
import { Slots } from "./slots.ts";
import { TestQueue } from "./testing/test-queue.ts";

const never = new AbortController().signal;
let queue: TestQueue;
let slots: Slots;
let ahead: LeasesAhead;

beforeEach(() => {
  vi.useFakeTimers();
  queue = new TestQueue();
  slots = new Slots(2);
  ahead = new LeasesAhead(queue, slots);
  for (let index = 1; index <= 6; index += 1) void queue.submit(lease(`c${index}`));
});
afterEach(() => vi.useRealTimers());

test("nothing is taken ahead while nobody knows how long tasks take, or they take long", async () => {
  expect(await takeNext()).toEqual(["c1", false]);
  expect(queue.left).toBe(5);
  slots.noteHeld(10_000);
  expect(await takeNext()).toEqual(["c2", false]);
  expect(queue.left).toBe(4);
});

test("leases of small tasks are taken several at a time, and begin later than they were leased", async () => {
  slots.noteHeld(20);
  expect(await takeNext()).toEqual(["c1", false]);
  expect(queue.left).toBe(1);
  expect([await takeNext(), await takeNext(), await takeNext()]).toEqual([
    ["c2", true],
    ["c3", true],
    ["c4", true],
  ]);
  expect(queue.left).toBe(0);
});

test("what has not had its turn within moments is given back, and so is the rest at the end", async () => {
  slots.noteHeld(20);
  await takeNext();
  await takeNext();
  await vi.advanceTimersByTimeAsync(1_000);
  expect(queue.givenBack).toEqual(["r1/c3/1", "r1/c4/1", "r1/c5/1"]);
  expect(await takeNext()).toEqual(["c6", false]);
  void queue.submit(lease("c7"));
  void queue.submit(lease("c8"));
  await takeNext();
  await ahead.close();
  expect(queue.givenBack).toContain("r1/c8/1");
});

async function takeNext(): Promise<readonly [string | undefined, boolean | undefined]> {
  const handed = await ahead.next(never);
  await vi.advanceTimersByTimeAsync(0);
  return [handed?.lease.action, handed?.waited];
}

function lease(action: string): Lease {
  return { run: "r1", action, attempt: 1 } as unknown as Lease;
}
