import type { ProjectDomain, RunId } from "@biplane/base";
import { expect, test } from "vitest";
import {
  codeBundlesPrefix,
  isWriteOnceKey,
  objectUri,
  offloadedInputsPrefix,
  parseObjectUri,
  projectPrefix,
  requireOwnLocation,
  runPrefix,
  uploadsPrefix,
} from "./index.ts";

const scope = { org: "acme", project: "flights", domain: "development" } as ProjectDomain;
const run = { ...scope, run: "r1" } as RunId;

test("what clients submit is written once, what runs write is not (rule of state 11)", () => {
  for (const prefix of [codeBundlesPrefix(scope), uploadsPrefix(scope), offloadedInputsPrefix(scope)]) {
    expect(isWriteOnceKey(`${prefix}x/file`)).toBe(true);
  }
  expect(isWriteOnceKey(`${runPrefix(run)}a0/1/outputs.pb`)).toBe(false);
});

test("URIs and keys are each other's inverse", () => {
  expect(parseObjectUri(objectUri("biplane", "acme/p/d/x"))).toEqual({
    bucket: "biplane",
    key: "acme/p/d/x",
  });
});

test.each([
  "s3://other/acme/flights/development/x",
  "s3://biplane/acme/flights/production/x",
  "s3://biplane/acme/flights/development/../production/x",
  "s3://biplane/acme/flights/development",
  "file:///etc/passwd",
  "https://biplane/acme/flights/development/x",
])("a location outside the project-domain is refused: %s (claim TRUST-2)", (uri) => {
  expect(() => requireOwnLocation(uri, "biplane", projectPrefix(scope))).toThrow();
});

test("a location inside is parsed", () => {
  const uri = "s3://biplane/acme/flights/development/uploads/x";
  expect(requireOwnLocation(uri, "biplane", projectPrefix(scope)).key).toBe(
    "acme/flights/development/uploads/x",
  );
});
