/** What of the object server's requests belongs into the audit log: all of them (claims AUD-1, IAM-4). */
import type { AuditDecision } from "@biplane/audit";
import type { Access } from "./access.ts";
import type { Session } from "./credentials.ts";
import type { S3ErrorCode } from "./s3-error.ts";

/** Where the request came in. */
export type StoreEntrance = "public" | "sandbox";

/** What a request has shown of itself. */
export interface StoreRequest {
  /** Of HTTP. */
  readonly method: string;
  /** As the answer names it. */
  readonly requestId: string;
  readonly address: string;
  readonly entrance: StoreEntrance;
  /** Whose credentials signed it, where they were a task's. */
  readonly session: Session | undefined;
  /** To whom the URL was given that it came by. */
  readonly grantedTo: string | undefined;
}

export interface AllowedRequest extends StoreRequest {
  readonly access: Access;
  /** The object's key or the listed prefix. Its beginning says whose it is; the rest is the customer's. */
  readonly place: string;
}

export interface StoreRefusal extends StoreRequest {
  readonly code: S3ErrorCode;
  readonly decision: AuditDecision;
}

export interface StoreAudit {
  /** Awaited before the request does anything: what can't be recorded does not happen. */
  allowed(request: AllowedRequest): Promise<void>;
  /** Awaited before the answer. */
  refused(refusal: StoreRefusal): Promise<void>;
}

/** Refusals that are about rights. Of an allowed request these alone are on record; missing objects are everyday answers. */
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
