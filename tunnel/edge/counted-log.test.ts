import { createLogger } from "@biplane/kit/logging";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { CountedLog } from "./counted-log.ts";

let lines: Record<string, unknown>[];
let counted: CountedLog;
beforeEach(() => {
  vi.useFakeTimers();
  lines = [];
  const destination = { write: (line: string) => void lines.push(JSON.parse(line)) };
  counted = new CountedLog(createLogger({ component: "edge", destination }));
});
afterEach(() => vi.useRealTimers());

test("the first time is told at once, repeats within a second as one line with their number", () => {
  for (let times = 0; times < 500; times += 1) counted.note("info", { event: "refused", reason: "a" }, "");
  expect(lines).toHaveLength(1);
  vi.advanceTimersByTime(1_000);
  expect(lines).toHaveLength(2);
  expect(lines[1]).toMatchObject({ event: "refused", reason: "a", count: 499 });
  counted.note("info", { event: "refused", reason: "a" }, "");
  expect(lines).toHaveLength(3);
});

test("different lines do not hide each other, but their kinds are bounded", () => {
  for (let port = 0; port < 5_000; port += 1) counted.note("warn", { event: "no_connector", port }, "");
  expect(lines).toHaveLength(1_000);
});
