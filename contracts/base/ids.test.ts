import fc from "fast-check";
import { expect, test } from "vitest";
import {
  isBiplaneError,
  parseActionName,
  parseProjectId,
  parseRunName,
  parseTaskName,
  runNameFrom,
} from "./index.ts";

const hostileNames = [
  "",
  "..",
  "a/../b",
  "a\u0000b",
  "a\nb",
  "\u0430dmin",
  "-a",
  "a-",
  "A",
  "x".repeat(10_000),
  " a",
  "%2e%2e",
];

test.each(hostileNames)("no project is called %j", (name) => {
  expect(() => parseProjectId(name)).toThrow(/is not a valid project/);
});

test.each(["..", "a/b", "a b", "\u0000", "", "a..b"])("no action is called %j", (name) => {
  expect(() => parseActionName(name)).toThrow(/is not a valid action name/);
});

test("whatever is refused is refused as invalid_argument, with a text of bounded length", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 2_000 }), (name) => {
      try {
        expect(parseTaskName(name)).toBe(name);
      } catch (error) {
        expect(isBiplaneError(error, "invalid_argument")).toBe(true);
        expect((error as Error).message.length).toBeLessThan(1_000);
      }
    }),
  );
});

test("generated run names are valid and carry 80 bits (rule of state 4)", () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 10, maxLength: 10 }),
      fc.uint8Array({ minLength: 10, maxLength: 10 }),
      (a, b) => {
        expect(parseRunName(runNameFrom(a))).toHaveLength(17);
        expect(runNameFrom(a) === runNameFrom(b)).toBe(Buffer.compare(a, b) === 0);
      },
    ),
  );
});
