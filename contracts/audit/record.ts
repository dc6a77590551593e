/**
 * One audit record, of either plane: who did what to which resource, what was decided and why. It has no field for
 * data. Its JSON is pinned: a record's bytes are a leaf of the log, and people's alarms read them.
 */
import { BiplaneError, type KnowableClass } from "@biplane/base";
import { type AuditCode, auditCodes } from "./codes.ts";

export type AuditPlane = "data" | "control";

/** `event`: nobody asked and nothing was decided; it happened. */
export type AuditDecision = "allowed" | "denied" | "hidden" | "unauthenticated" | "refused" | "event";

export interface AuditRecord {
  /** Milliseconds since 1970. */
  readonly atMs: number;
  readonly plane: AuditPlane;
  readonly code: AuditCode;
  readonly decision: AuditDecision;
  /** Empty where nobody was authenticated. */
  readonly subject: string;
  /** Whose rights a task used. */
  readonly actingFor?: string;
  readonly method: string;
  readonly org: string;
  readonly cluster?: string;
  readonly project?: string;
  readonly domain?: string;
  readonly run?: string;
  readonly action?: string;
  readonly attempt?: number;
  /** That a run came to, as `SUCCEEDED`. */
  readonly phase?: string;
  readonly requestId: string;
  readonly address: string;
  /** Whose word the address is: the connection's own, the edge's, or a sandbox known by its socket. */
  readonly addressFrom: "peer" | "edge" | "sandbox" | "none";
  /** Stable reason of a refusal, or code of a failure. */
  readonly reason?: string;
  /** How many requests a summary stands for; sequence of a record that an event is about. */
  readonly count?: number;
}

/** What the planes agree on for one record; the log's layout would allow 65,535. */
export const auditRecordBytesMax = 16_384;

/** No name of Biplane is longer; what a stranger sends may be, and is cut so that it is recorded all the same. */
const charactersMax = 256;

/** The class of each field (claim CLS-1); what is not here is not recorded. */
export const auditFields = {
  atMs: "platform",
  plane: "public",
  code: "public",
  decision: "public",
  subject: "platform",
  actingFor: "platform",
  method: "public",
  org: "platform",
  cluster: "platform",
  project: "orchestration",
  domain: "orchestration",
  run: "orchestration",
  action: "orchestration",
  attempt: "orchestration",
  phase: "orchestration",
  requestId: "platform",
  address: "platform",
  addressFrom: "public",
  reason: "public",
  count: "platform",
} as const satisfies Readonly<Record<keyof AuditRecord, KnowableClass>>;

/** Each member by its name: a loop over the names costs twice as much, and this is done for every request. */
export function encodeAuditRecord(record: AuditRecord): Uint8Array {
  // What is undefined has no member.
  const members = {
    atMs: record.atMs,
    plane: record.plane,
    code: record.code,
    decision: record.decision,
    subject: clip(record.subject),
    actingFor: clip(record.actingFor),
    method: clip(record.method),
    org: clip(record.org),
    cluster: clip(record.cluster),
    project: clip(record.project),
    domain: clip(record.domain),
    run: clip(record.run),
    action: clip(record.action),
    attempt: record.attempt,
    phase: clip(record.phase),
    requestId: clip(record.requestId),
    address: clip(record.address),
    addressFrom: record.addressFrom,
    reason: clip(record.reason),
    count: record.count,
  } satisfies Readonly<Record<keyof AuditRecord, unknown>>;
  return Buffer.from(JSON.stringify(members));
}

function clip(value: string | undefined): string | undefined {
  return value === undefined || value.length <= charactersMax ? value : `${value.slice(0, charactersMax)}…`;
}

export function decodeAuditRecord(bytes: Uint8Array): AuditRecord {
  let value: AuditRecord | undefined;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes)) as AuditRecord;
  } catch {
    throw unreadable();
  }
  if (typeof value?.atMs === "number" && Object.hasOwn(auditCodes, value.code)) return value;
  throw unreadable();
}

function unreadable(): BiplaneError {
  return new BiplaneError("data_loss", "An audit record can't be read.", { reason: "record_unreadable" });
}
