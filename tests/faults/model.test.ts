import { expect, test } from "vitest";
import type { ActionRecord } from "../e2e/run-records.ts";
import { violations } from "./model.ts";

const ok = { attempt: 1, phase: 5, startedMs: 10, endedMs: 20 };
const root: ActionRecord = {
  name: "a0",
  parent: "",
  phase: 5,
  attempts: [{ ...ok, startedMs: 1, endedMs: 99 }],
};
const child: ActionRecord = { name: "c1", parent: "a0", phase: 5, attempts: [ok] };

test("a run without flaw has no violation", () => {
  expect(violations([root, child], 1)).toEqual([]);
});

test.each([
  ["a lost action", [root], "instead of 2"],
  ["a doubled action", [root, child, child], "listed twice"],
  ["a result that is missing", [root, { ...child, phase: 6 }], "ended in phase 6"],
  [
    "two results of one action",
    [root, { ...child, attempts: [ok, { ...ok, attempt: 2, startedMs: 30, endedMs: 40 }] }],
    "2 successful",
  ],
  [
    "attempts that overlap",
    [
      root,
      {
        ...child,
        attempts: [
          { ...ok, phase: 6 },
          { ...ok, attempt: 2, startedMs: 15 },
        ],
      },
    ],
    "before the one before",
  ],
  ["a gap in the attempts", [root, { ...child, attempts: [{ ...ok, attempt: 2 }] }], "lacks attempt 1"],
  [
    "a child before its parent",
    [root, { ...child, attempts: [{ ...ok, startedMs: 0 }] }],
    "before its parent",
  ],
] satisfies [string, ActionRecord[], string][])("control: %s is reported", (_, actions, message) => {
  expect(violations(actions, 1).join("; ")).toContain(message);
});
