import { expect, test } from "vitest";
import { auditCodes } from "./codes.ts";
import { type AuditRecord, decodeAuditRecord, encodeAuditRecord } from "./record.ts";

const record: AuditRecord = {
  atMs: 1,
  code: "RUN_CREATED",
  decision: "allowed",
  subject: "ada",
  method: "flyteidl2.workflow.RunService/CreateRun",
  org: "acme",
  project: "flights",
  domain: "development",
  requestId: "r",
  address: "192.0.2.1",
  addressFrom: "edge",
};

test("a record's form is fixed: people's alarms read it", () => {
  expect(new TextDecoder().decode(encodeAuditRecord(record))).toBe(
    '{"atMs":1,"code":"RUN_CREATED","decision":"allowed","subject":"ada",' +
      '"method":"flyteidl2.workflow.RunService/CreateRun","org":"acme","project":"flights",' +
      '"domain":"development","requestId":"r","address":"192.0.2.1","addressFrom":"edge"}',
  );
  expect(decodeAuditRecord(encodeAuditRecord(record))).toEqual(record);
});

test("a record with a code that nobody knows is not read as one", () => {
  const bytes = new TextEncoder().encode(JSON.stringify({ ...record, code: "SOMETHING" }));
  expect(() => decodeAuditRecord(bytes)).toThrow("can't be read");
});

test("every code says in a sentence what it stands for", () => {
  for (const [code, text] of Object.entries(auditCodes)) expect(text, code).toMatch(/^[A-Z].*\.$/);
});
