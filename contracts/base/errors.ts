/**
 * One error class for both planes. `code` decides what callers do; `message`, `why` and `next` are for people and
 * may be shown; `cause` stays in the process and must never be serialized.
 */

/** Connect's codes, https://connectrpc.com/docs/protocol#error-codes, in their wire spelling. */
export type ErrorCode =
  | "aborted"
  | "already_exists"
  | "canceled"
  | "data_loss"
  | "deadline_exceeded"
  | "failed_precondition"
  | "internal"
  | "invalid_argument"
  | "not_found"
  | "out_of_range"
  | "permission_denied"
  | "resource_exhausted"
  | "unauthenticated"
  | "unavailable"
  | "unimplemented"
  | "unknown";

export interface ErrorText {
  /** What happened, in one sentence. */
  readonly what: string;
  /** Why it happened. */
  readonly why?: string;
  /** What the reader can do next. */
  readonly next?: string;
}

export class BiplaneError extends Error {
  override readonly name = "BiplaneError";
  readonly code: ErrorCode;
  readonly text: ErrorText;
  /** Stable, greppable reason below the code, e.g. `document_missing`. */
  readonly reason: string | undefined;

  constructor(code: ErrorCode, text: ErrorText | string, options?: { cause?: unknown; reason?: string }) {
    const parts = typeof text === "string" ? { what: text } : text;
    super([parts.what, parts.why, parts.next].filter(Boolean).join(" "), { cause: options?.cause });
    this.code = code;
    this.text = parts;
    this.reason = options?.reason;
  }

  /** Whether repeating the same request later can succeed. */
  get retryable(): boolean {
    return (
      this.code === "unavailable" || this.code === "resource_exhausted" || this.code === "deadline_exceeded"
    );
  }

  toJSON(): object {
    return { code: this.code, reason: this.reason, ...this.text };
  }
}

export function isBiplaneError(error: unknown, code?: ErrorCode): error is BiplaneError {
  return error instanceof BiplaneError && (code === undefined || error.code === code);
}

/** For states that the types rule out; reaching it is a bug. */
export function unreachable(value: never): never {
  throw new BiplaneError("internal", `Unexpected value ${JSON.stringify(value)}.`);
}
