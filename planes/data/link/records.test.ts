/** What a control plane causes in the audit log: as much as it likes of its own doing, and the log is not full of it. */
import { IntentOutcome, IntentSchema } from "@biplane/control-wire";
import { type AuditInput, RefusalRecorder } from "@biplane/kit/audit-log";
import { systemClock } from "@biplane/kit/clock";
import { create } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { quiet } from "../../../tests/support/control-plane.ts";
import { createLinkRecords } from "./records.ts";

const recordsMax = 3;

async function recordsOf(outcome: IntentOutcome, intents: number): Promise<AuditInput[]> {
  const all: AuditInput[] = [];
  const log = { record: async (record: AuditInput) => void all.push(record) };
  const refusals = new RefusalRecorder(log, systemClock, quiet, { recordsMax, intervalMs: 60_000 });
  const records = createLinkRecords(log, refusals);
  const intent = create(IntentSchema, { createdBy: "ada" });
  for (let count = 0; count < intents; count += 1) await records.intentAnswered(intent, outcome);
  await refusals.close();
  return all;
}

test("intents that are refused without end are counted beyond a bound", async () => {
  const records = await recordsOf(IntentOutcome.WRONG_CLUSTER, 50);
  expect(records).toHaveLength(recordsMax + 1);
  expect(records.at(-1)).toMatchObject({ code: "REQUESTS_SUMMARIZED", decision: "refused", count: 47 });
});

test("control: each that is accepted is on record", async () => {
  expect(await recordsOf(IntentOutcome.ACCEPTED, 50)).toHaveLength(50);
});
