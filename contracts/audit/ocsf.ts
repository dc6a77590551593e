/**
 * Audit records in the Open Cybersecurity Schema Framework, as class "API Activity" (6003) of category "Application
 * Activity" (6), https://schema.ocsf.io: what security tools understand without being told of Biplane (claim AUD-4).
 */
import { type AuditCode, auditCodes } from "./codes.ts";
import type { AuditDecision, AuditRecord } from "./record.ts";

export const ocsfVersion = "1.3.0";
const categoryUid = 6;
const classUid = 6003;

/** Create, read, update, delete; 99 is whatever else happened. */
const activities: readonly (readonly [RegExp, number, string])[] = [
  [/_(READ|LISTED|WATCHED|SELECTED|PLACED)$/, 2, "Read"],
  [/_(CREATED|DEPLOYED|ENQUEUED|UPLOADED|GRANTED|RECORDED|ENROLLED|ISSUED|REDEEMED)$/, 1, "Create"],
  [/_(UPDATED|ABORTED|RENEWED)$/, 3, "Update"],
  [/_(DROPPED|REVOKED)$/, 4, "Delete"],
];
const other = [99, "Other"] as const;

const success = { status_id: 1, status: "Success" } as const;
const failure = { status_id: 2, status: "Failure" } as const;
const statuses: Readonly<Record<AuditDecision, typeof success | typeof failure>> = {
  allowed: success,
  event: success,
  denied: failure,
  hidden: failure,
  unauthenticated: failure,
  refused: failure,
};

/** Refusals are what people look for; what says that a log was changed is worse. */
const alarming: ReadonlySet<AuditCode> = new Set<AuditCode>([
  "AUDIT_LOG_DAMAGED",
  "AUDIT_RECORD_LOST",
  "WITNESS_REFUSED",
  "COUNTERSIGNATURE_REFUSED",
]);

function severityOf({ code, decision }: AuditRecord): { severity_id: number; severity: string } {
  if (alarming.has(code)) return { severity_id: 5, severity: "Critical" };
  if (statuses[decision] === failure) return { severity_id: 2, severity: "Low" };
  return { severity_id: 1, severity: "Informational" };
}

/** `index` is the record's in its log: the two name it for good. */
export function toOcsf(record: AuditRecord, index: number, logName: string): object {
  const { code, decision, atMs, subject, actingFor, method, reason, count, phase } = record;
  const [, activityId, activity] = activities.find(([pattern]) => pattern.test(code)) ?? [
    undefined,
    ...other,
  ];
  return {
    category_uid: categoryUid,
    category_name: "Application Activity",
    class_uid: classUid,
    class_name: "API Activity",
    activity_id: activityId,
    activity_name: activity,
    type_uid: classUid * 100 + activityId,
    time: atMs,
    ...severityOf(record),
    ...statuses[decision],
    ...(reason === undefined ? {} : { status_detail: reason }),
    message: auditCodes[code],
    metadata: {
      version: ocsfVersion,
      product: { name: "Biplane", vendor_name: "Biplane", feature: { name: `${record.plane} plane` } },
      log_name: logName,
      event_code: code,
      uid: `${logName}#${index}`,
      ...(record.requestId === "" ? {} : { correlation_uid: record.requestId }),
    },
    actor: {
      user: { uid: subject === "" ? "unknown" : subject },
      ...(actingFor === undefined ? {} : { invoked_by: actingFor }),
    },
    api: { operation: method === "" ? code : method, service: { name: serviceOf(method) } },
    src_endpoint: endpointOf(record),
    resources: resourcesOf(record),
    unmapped: {
      decision,
      address_from: record.addressFrom,
      ...(phase === undefined ? {} : { phase }),
      ...(count === undefined ? {} : { count }),
    },
  };
}

function serviceOf(method: string): string {
  return method.includes("/") && !method.includes(" ") ? method.split("/")[0]! : "biplane";
}

function endpointOf({ address, addressFrom }: AuditRecord): object {
  return /^[0-9.]+$|:/.test(address) ? { ip: address } : { name: address === "" ? addressFrom : address };
}

/** From the organization inwards, as far as the record says. */
function resourcesOf({ org, cluster, project, domain, run, action, attempt }: AuditRecord): object[] {
  const named = { organization: org, cluster, project, domain, run, action, attempt };
  return Object.entries(named).flatMap(([type, name]) =>
    name === undefined || name === "" ? [] : [{ type, name: String(name) }],
  );
}
