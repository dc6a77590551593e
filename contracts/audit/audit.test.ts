import { expect, test } from "vitest";
import { auditCodes } from "./codes.ts";
import { matchesFilter } from "./filter.ts";
import { type AuditRecord, auditRecordBytesMax, decodeAuditRecord, encodeAuditRecord } from "./record.ts";

const record: AuditRecord = {
  requestId: "r",
  atMs: 1,
  plane: "data",
  code: "RUN_CREATED",
  decision: "allowed",
  subject: "ada",
  method: "flyteidl2.workflow.RunService/CreateRun",
  org: "acme",
  project: "flights",
  domain: "development",
  address: "192.0.2.1",
  addressFrom: "edge",
};

test("a record's form is fixed, whoever put it together: people's alarms read it, and the log hashes it", () => {
  expect(new TextDecoder().decode(encodeAuditRecord(record))).toBe(
    '{"atMs":1,"plane":"data","code":"RUN_CREATED","decision":"allowed","subject":"ada",' +
      '"method":"flyteidl2.workflow.RunService/CreateRun","org":"acme","project":"flights",' +
      '"domain":"development","requestId":"r","address":"192.0.2.1","addressFrom":"edge"}',
  );
  expect(decodeAuditRecord(encodeAuditRecord(record))).toEqual(record);
  const whole = { ...record, actingFor: "bob", cluster: "home", run: "r1", action: "a0", attempt: 2 };
  const failed = {
    ...whole,
    code: "ATTEMPT_FAILED",
    phase: "FAILED",
    reason: "OOMKilled",
    count: 3,
  } as const;
  expect(Object.keys(JSON.parse(new TextDecoder().decode(encodeAuditRecord(failed))))).toEqual([
    ...["atMs", "plane", "code", "decision", "subject", "actingFor", "method", "org", "cluster", "project"],
    ...[
      "domain",
      "run",
      "action",
      "attempt",
      "phase",
      "requestId",
      "address",
      "addressFrom",
      "reason",
      "count",
    ],
  ]);
});

test("whatever strangers send is recorded, and takes a bounded place", () => {
  const long = "\u0000\ud800".repeat(100_000);
  const encoded = encodeAuditRecord({
    ...record,
    subject: long,
    method: long,
    requestId: long,
    reason: long,
  });
  expect(encoded.length).toBeLessThan(auditRecordBytesMax);
  expect(decodeAuditRecord(encoded).method.endsWith("…")).toBe(true);
});

test("a record with a code that nobody knows is not read as one", () => {
  const bytes = new TextEncoder().encode(JSON.stringify({ ...record, code: "SOMETHING" }));
  expect(() => decodeAuditRecord(bytes)).toThrow("can't be read");
  expect(() => decodeAuditRecord(new Uint8Array([0xff]))).toThrow("can't be read");
});

test("every code says in a sentence what it stands for, and no two say the same", () => {
  for (const [code, text] of Object.entries(auditCodes)) expect(text, code).toMatch(/^[A-Z].*\.$/);
  expect(new Set(Object.values(auditCodes)).size).toBe(Object.keys(auditCodes).length);
});

test("records are found by time, identity, resource, code and decision (claim AUD-2)", () => {
  const matches = (filter: Parameters<typeof matchesFilter>[1]) => matchesFilter(record, filter);
  expect(matches({})).toBe(true);
  expect([matches({ sinceMs: 1, untilMs: 2 }), matches({ sinceMs: 2 }), matches({ untilMs: 1 })]).toEqual([
    true,
    false,
    false,
  ]);
  expect([matches({ subject: "ada" }), matches({ subject: "bob" })]).toEqual([true, false]);
  expect(matchesFilter({ ...record, actingFor: "bob" }, { subject: "bob" })).toBe(true);
  expect([
    matches({ project: "flights" }),
    matches({ domain: "production" }),
    matches({ run: "r1" }),
  ]).toEqual([true, false, false]);
  expect([matches({ codes: ["RUN_CREATED"] }), matches({ codes: ["RUN_READ"] })]).toEqual([true, false]);
  expect([matches({ decisions: ["denied", "allowed"] }), matches({ decisions: ["denied"] })]).toEqual([
    true,
    false,
  ]);
});
