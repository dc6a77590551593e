import { expect, test, vi } from "vitest";
import { HalfOpenConnections } from "./half-open.ts";

function watched(countMax: number, waitMs: number) {
  const givenUp: [unknown, string][] = [];
  const halfOpen = new HalfOpenConnections({
    countMax,
    waitMs,
    onGivenUp: (connection, reason) => givenUp.push([connection, reason]),
  });
  return { halfOpen, givenUp };
}

const connection = () => ({ destroy: () => {} });

test("beyond the bound the oldest gives way, and the newest stays", () => {
  const { halfOpen, givenUp } = watched(2, 60_000);
  const all = [connection(), connection(), connection()];
  for (const one of all) halfOpen.add(one);
  expect(givenUp).toEqual([[all[0], "displaced"]]);
  expect(halfOpen.count).toBe(2);
});

test("whoever stays silent too long is given up; whoever proved itself is left alone", () => {
  vi.useFakeTimers();
  try {
    const { halfOpen, givenUp } = watched(10, 1_000);
    const [silent, proven] = [connection(), connection()];
    halfOpen.add(silent);
    halfOpen.add(proven);
    halfOpen.remove(proven);
    vi.advanceTimersByTime(999);
    expect(givenUp).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(givenUp).toEqual([[silent, "timeout"]]);
    expect(halfOpen.count).toBe(0);
  } finally {
    vi.useRealTimers();
  }
});
