import fc from "fast-check";
import { expect, test } from "vitest";
import { Mailbox } from "./mailbox.ts";
import { decideRetry } from "./retries.ts";
import { TimeHeap } from "./time-heap.ts";
import type { ActionFailure, AttemptRecord } from "./types.ts";

test("the heap gives what is due, earliest first, and nothing before its time", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(1_000)), fc.nat(1_000), (times, nowMs) => {
      const heap = new TimeHeap<number>();
      for (const atMs of times) heap.push(atMs, atMs);
      const taken: number[] = [];
      for (let due = heap.popUntil(nowMs); due !== undefined; due = heap.popUntil(nowMs)) taken.push(due);
      const sorted = times.toSorted((left, right) => left - right);
      expect(taken).toEqual(sorted.filter((atMs) => atMs <= nowMs));
      expect(heap.firstTime()).toBe(sorted.find((atMs) => atMs > nowMs));
    }),
  );
});

function failure(kind: "user" | "system", recoverable = true): ActionFailure {
  return { code: "Code", message: "", kind, recoverable };
}

function attemptsThatFailed(...kinds: ("user" | "system")[]): AttemptRecord[] {
  return kinds.map((kind) => ({ failure: failure(kind) }) as AttemptRecord);
}

const policy = { retries: 2, baseMs: 100, factor: 3, capMs: 500 };

test("the user's retries wait longer each time, up to the cap, and then end", () => {
  const decide = (...earlier: ("user" | "system")[]) =>
    decideRetry(failure("user"), attemptsThatFailed(...earlier), { ...policy, retries: 4 });
  expect(decide()).toEqual({ kind: "retry", delayMs: 100 });
  expect(decide("user")).toEqual({ kind: "retry", delayMs: 300 });
  expect(decide("user", "user")).toEqual({ kind: "retry", delayMs: 500 });
  expect(decide("user", "user", "user", "user")).toEqual({ kind: "end" });
});

test("a lost worker does not cost the user a try, nor the other way round", () => {
  const spent = attemptsThatFailed("system", "system", "system");
  expect(decideRetry(failure("system"), spent, policy).kind).toBe("end");
  expect(decideRetry(failure("user"), spent, policy).kind).toBe("retry");
  const tried = attemptsThatFailed("user", "user");
  expect(decideRetry(failure("user"), tried, policy).kind).toBe("end");
  expect(decideRetry(failure("system"), tried, policy).kind).toBe("retry");
  expect(decideRetry(failure("user", false), [], policy).kind).toBe("end");
});

test("a mailbox holds the newest state of each thing only, and ends with its signal", async () => {
  const mailbox = new Mailbox<string>();
  const gone = new AbortController();
  for (let version = 1; version <= 3; version += 1) {
    mailbox.put("a", `a${version}`);
    mailbox.put("b", `b${version}`);
  }
  expect(await mailbox.take(1, gone.signal)).toEqual(["a3"]);
  mailbox.put("b", "b4");
  expect(await mailbox.take(10, gone.signal)).toEqual(["b4"]);
  const waiting = mailbox.take(10, gone.signal);
  mailbox.put("c", "c1");
  expect(await waiting).toEqual(["c1"]);
  const forever = mailbox.take(10, gone.signal);
  gone.abort();
  expect(await forever).toEqual([]);
});
