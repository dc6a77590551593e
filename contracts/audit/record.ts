/** One audit record: who did what to which resource, and what was decided. It has no field for data. */
import { BiplaneError } from "@biplane/base";
import { type AuditCode, auditCodes } from "./codes.ts";

export type AuditDecision = "allowed" | "denied" | "hidden" | "unauthenticated" | "refused";

export interface AuditRecord {
  /** Milliseconds since 1970. */
  readonly atMs: number;
  readonly code: AuditCode;
  readonly decision: AuditDecision;
  /** Empty where nobody was authenticated. */
  readonly subject: string;
  /** Whose rights a task used. */
  readonly actingFor?: string;
  readonly method: string;
  readonly org: string;
  readonly project?: string;
  readonly domain?: string;
  readonly run?: string;
  readonly action?: string;
  readonly requestId: string;
  readonly address: string;
  /** Whose word the address is: the connection's own, the edge's, or a sandbox known by its socket. */
  readonly addressFrom: "peer" | "edge" | "sandbox" | "none";
  /** Stable reason of a refusal. */
  readonly reason?: string;
}

export function encodeAuditRecord(record: AuditRecord): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(record));
}

export function decodeAuditRecord(bytes: Uint8Array): AuditRecord {
  const value = JSON.parse(new TextDecoder().decode(bytes)) as AuditRecord;
  if (typeof value.atMs === "number" && Object.hasOwn(auditCodes, value.code)) return value;
  throw new BiplaneError("data_loss", "An audit record can't be read.");
}
