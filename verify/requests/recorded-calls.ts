/** Calls every method of a plane, each under an id of its own, and compares the audit log with what was called (claim AUD-1). */
import { randomBytes } from "node:crypto";
import type { AuditCode, AuditDecision, AuditRecord } from "@biplane/audit";
import { rpcTable } from "@biplane/classification";
import { type IndexMethod, indexTable } from "@biplane/classification/control-table";
import { IndexService } from "@biplane/control-wire";
import type { DescMethod } from "@bufbuild/protobuf";
import type { Transport } from "@connectrpc/connect";
import { callMethod, routerMethods } from "./call-method.ts";
import { fillRequest, type Names } from "./fill-request.ts";

export interface Called {
  readonly requestId: string;
  /** As records name it. */
  readonly method: string;
}

/** What came of a cluster's request, beside the record of the request itself. */
const outcomes: ReadonlySet<string> = new Set(["CLUSTER_JOINED", "CLUSTER_UPDATED"]);

const indexMethods = IndexService.methods as readonly DescMethod[];

export async function callRouterMethods(transport: Transport, names: Names): Promise<Called[]> {
  const called: Called[] = [];
  for (const { name: method, desc } of routerMethods) {
    const requestId = newRequestId();
    const choice = rpcTable[method]!.resource.at[0];
    await callMethod(transport, desc, fillRequest(desc.input, names, choice), requestId);
    called.push({ requestId, method });
  }
  return called;
}

export async function callIndexMethods(transport: Transport, names: Names): Promise<Called[]> {
  const called: Called[] = [];
  for (const desc of indexMethods) {
    const requestId = newRequestId();
    await callMethod(transport, desc, fillRequest(desc.input, names), requestId);
    called.push({ requestId, method: `${IndexService.typeName}/${desc.name}` });
  }
  return called;
}

function newRequestId(): string {
  return `verify-${randomBytes(12).toString("hex")}`;
}

/** Those of the calls, whoever else called meanwhile. */
export function recordsOf(called: readonly Called[], records: readonly AuditRecord[]): AuditRecord[] {
  const ids = new Set(called.map(({ requestId }) => requestId));
  return records.filter(({ requestId, code }) => ids.has(requestId) && !outcomes.has(code));
}

/** `subject`: who called; empty for a stranger, of whom no token is believed. */
export function problemsAtRouter(
  called: readonly Called[],
  records: readonly AuditRecord[],
  subject: string,
): string[] {
  return compare(called, records, ({ method }) => {
    const { permission, audit } = rpcTable[method]!;
    if (permission === "anonymous") return { code: audit, subject: "" };
    if (subject !== "") return { code: audit, subject };
    return { code: "REQUEST_REFUSED", subject, decision: "unauthenticated" };
  });
}

export function problemsAtControlPlane(
  called: readonly Called[],
  records: readonly AuditRecord[],
  subject: string,
  cluster: string,
): string[] {
  const codes = new Map(
    indexMethods.map(({ name, localName }) => [name, indexTable[localName as IndexMethod].audit]),
  );
  return compare(called, records, ({ method }) => ({
    code: codes.get(method.split("/")[1]!)!,
    ...{ subject, cluster },
    ...(subject === "" ? { decision: "unauthenticated" as const } : {}),
  }));
}

interface Expected {
  readonly code: AuditCode;
  readonly subject: string;
  readonly cluster?: string;
  readonly decision?: AuditDecision;
}

function compare(
  called: readonly Called[],
  records: readonly AuditRecord[],
  expectedOf: (call: Called) => Expected,
): string[] {
  const own = recordsOf(called, records);
  return called.flatMap((call) => {
    const found = own.filter(({ requestId }) => requestId === call.requestId);
    const [record] = found;
    if (record === undefined || found.length > 1) return [`${call.method} has ${found.length} records`];
    const expected = Object.entries({ method: call.method, ...expectedOf(call) });
    const wrong = expected.flatMap(([name, value]) => {
      const recorded = record[name as keyof AuditRecord];
      return recorded === value ? [] : [`the record of ${call.method} has ${name} ${recorded}, not ${value}`];
    });
    const missing = missingIn(record).map((name) => `the record of ${call.method} lacks its ${name}`);
    return [...wrong, ...missing];
  });
}

/** Fields that no request leaves empty; `subject` is empty for strangers alone. */
export function missingIn(record: AuditRecord): string[] {
  const { atMs, plane, code, decision, method, org, requestId, address, addressFrom } = record;
  const all = { atMs, plane, code, decision, method, org, requestId, address, addressFrom };
  return Object.entries(all).flatMap(([name, value]) =>
    value === undefined || value === "" || value === 0 ? [name] : [],
  );
}
