import { expect, test } from "vitest";
import { isRegionAllowed, parseRegion, parseRegionRestriction } from "./regions.ts";

test("a restriction is a region, or the beginning of its name", () => {
  expect(isRegionAllowed("eu-central-1", ["eu-*"])).toBe(true);
  expect(isRegionAllowed("eu-central-1", ["us-east-1", "eu-central-1"])).toBe(true);
  expect(isRegionAllowed("eu-central-12", ["eu-central-1"])).toBe(false);
  expect(isRegionAllowed("us-east-1", ["eu-*"])).toBe(false);
  expect(isRegionAllowed("local", ["eu-*"])).toBe(false);
});

test("without a restriction every region is allowed", () => {
  expect(isRegionAllowed("us-east-1", [])).toBe(true);
});

test("what is no region is refused, and says what one looks like", () => {
  for (const text of ["", "EU", "eu central", "*", "-eu", "a".repeat(65)]) {
    expect(() => parseRegion(text)).toThrow("can't be a region");
    expect(() => parseRegionRestriction(text)).toThrow("can't restrict regions");
  }
  expect(() => parseRegion("eu-*")).toThrow();
  expect(parseRegionRestriction("eu-*")).toBe("eu-*");
});
