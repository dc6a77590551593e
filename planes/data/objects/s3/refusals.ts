/** Which refusals of the object server are about rights, so that they belong into the audit log (claims AUD-1, IAM-4). */
import type { AuditDecision } from "@biplane/audit";
import type { Session } from "./credentials.ts";
import type { S3ErrorCode } from "./s3-error.ts";

/** Where the request came in. */
export type StoreEntrance = "public" | "sandbox";

export interface StoreRefusal {
  readonly code: S3ErrorCode;
  readonly decision: AuditDecision;
  /** Of HTTP. */
  readonly method: string;
  readonly address: string;
  readonly entrance: StoreEntrance;
  /** Whose credentials signed it, where they were a task's. */
  readonly session: Session | undefined;
}

/** Missing objects and broken uploads are everyday answers, and not here. */
export const refusedRights: Readonly<Partial<Record<S3ErrorCode, AuditDecision>>> = {
  AccessDenied: "denied",
  AuthorizationHeaderMalformed: "unauthenticated",
  ExpiredToken: "unauthenticated",
  InvalidAccessKeyId: "unauthenticated",
  InvalidToken: "unauthenticated",
  RequestTimeTooSkewed: "unauthenticated",
  SignatureDoesNotMatch: "unauthenticated",
  // What was written once would have been written over, or other bytes sent than were announced (claim TRUST-2).
  ConditionalRequestConflict: "refused",
  BadDigest: "refused",
  XAmzContentSHA256Mismatch: "refused",
};
