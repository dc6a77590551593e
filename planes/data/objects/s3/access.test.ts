import { expect, test } from "vitest";
import { type Access, requireAccess } from "./access.ts";
import type { Authenticated } from "./authenticate.ts";

const run = "acme/flights/development/r1/";
const session = { readPrefixes: ["acme/flights/development/uploads/1"], writePrefixes: [run] };
const task = { principal: { kind: "session", session } } as unknown as Authenticated;

function allowed(access: Access, key: string): boolean {
  try {
    requireAccess(task, access, key);
    return true;
  } catch {
    return false;
  }
}

test("a session reads and writes below its prefixes only", () => {
  expect(allowed("write", `${run}a0/1/raw/table.parquet`)).toBe(true);
  expect(allowed("read", "acme/flights/development/uploads/1")).toBe(true);
  expect(allowed("write", "acme/flights/development/uploads/1")).toBe(false);
  expect(allowed("read", "acme/flights/development/r2/a0/1/outputs.pb")).toBe(false);
});

test("rule of state 7: no session decides an attempt's outcome, and every session may read it", () => {
  expect(allowed("write", `${run}a0/1/outcome.pb`)).toBe(false);
  expect(allowed("delete", `${run}a0/1/outcome.pb`)).toBe(false);
  expect(allowed("read", `${run}a0/1/outcome.pb`)).toBe(true);
  expect(allowed("write", `${run}a0/1/raw/my-outcome.pb`)).toBe(true);
});
