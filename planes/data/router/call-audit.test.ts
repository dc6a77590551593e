/** Which requests get a record each, and which are counted once there are too many (claim AUD-1). */
import { rpcTable } from "@biplane/classification";
import { type AuditInput, RefusalRecorder } from "@biplane/kit/audit-log";
import { systemClock } from "@biplane/kit/clock";
import { expect, test } from "vitest";
import { quiet } from "../../../tests/support/control-plane.ts";
import type { Principal } from "../identity/types.ts";
import { testOrg } from "../plane.testing.ts";
import type { Call } from "./call.ts";
import { createCallAudit } from "./call-audit.ts";

const method = "flyteidl2.auth.AuthMetadataService/GetPublicClientConfig";
const recordsMax = 3;

async function recordsOf(principal: Call["principal"], requests: number): Promise<AuditInput[]> {
  const records: AuditInput[] = [];
  const log = { record: async (record: AuditInput) => void records.push(record) };
  const bounds = { recordsMax, intervalMs: 60_000 };
  const refusals = new RefusalRecorder(log, systemClock, quiet, bounds);
  const audit = createCallAudit(log, refusals, "edge", systemClock);
  const call: Call = {
    ...{ method, row: rpcTable[method]!, org: testOrg, principal, resource: undefined },
    ...{ entrance: { kind: "public", address: "192.0.2.1" }, address: "192.0.2.1" },
    ...{ requestId: "r", clientRequestId: undefined },
  };
  for (let count = 0; count < requests; count += 1) {
    await audit.decided(call, { kind: "allowed", delegated: false });
  }
  await refusals.close();
  return records;
}

test("strangers can't fill the log by what everybody may ask", async () => {
  const records = await recordsOf(undefined, 50);
  expect(records).toHaveLength(recordsMax + 1);
  expect(records.at(-1)).toMatchObject({ code: "REQUESTS_SUMMARIZED", decision: "allowed", count: 47 });
});

test("control: whoever is known is on record each time", async () => {
  const known: Principal = {
    ...{ org: testOrg, subject: "ada", kind: "user", tokenId: "t", issuedAt: 0, expiresAtMs: 0 },
    ...{ name: undefined, email: undefined, groups: [], grant: undefined },
    ...{ attempt: undefined, actingFor: undefined },
  };
  expect(await recordsOf(known, 50)).toHaveLength(50);
});
