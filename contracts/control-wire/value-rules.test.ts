/** What the fields of the control wire may hold. */
import { create } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { findViolation, RunProjectionSchema } from "./index.ts";

const projectionWith = (fields: object) => create(RunProjectionSchema, fields as never);

test.each([
  ["an error's text in a code", { failureCode: "ValueError: patient 4711 not found" }, "failure_code"],
  ["a mail address in a subject", { createdBy: "ada@example.com" }, "created_by"],
  ["several lines in a name", { run: { name: "a\nb" } }, "run.name"],
  ["a long text in a name", { task: { name: "x".repeat(256) } }, "task.name"],
  ["more than a digest in a digest", { documentDigest: new Uint8Array(33) }, "document_digest"],
  ["a number that is no phase", { phase: 4711 }, "phase"],
])("%s is found before it crosses (claim CLS-6)", (_, fields, path) => {
  expect(findViolation(RunProjectionSchema, projectionWith(fields))?.path).toBe(path);
});

test("an ordinary projection violates nothing", () => {
  const ordinary = {
    failureCode: "OOMKilled",
    createdBy: "client-1",
    documentDigest: new Uint8Array(32),
    phase: 6,
  };
  expect(findViolation(RunProjectionSchema, projectionWith(ordinary))).toBeUndefined();
});
