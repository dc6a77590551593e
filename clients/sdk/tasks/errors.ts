/** What goes wrong with tasks, for code that wants to tell apart. */

export interface TaskFailure {
  /** Stable: `OOMKilled`, `UserError`, … It may be known outside the data plane, so it never holds a user's words. */
  readonly code: string;
  readonly message: string;
  /** Whether another attempt could succeed. */
  readonly recoverable: boolean;
  readonly kind: "user" | "system";
}

/** A sub-action ended without a result, after all of its attempts. */
export class TaskFailedError extends Error {
  override readonly name: string = "TaskFailedError";
  readonly code: string;
  readonly kind: TaskFailure["kind"];
  readonly recoverable: boolean;
  /** Name of the sub-action. */
  readonly action: string;

  constructor(action: string, failure: TaskFailure) {
    super(failure.message);
    this.code = failure.code;
    this.kind = failure.kind;
    this.recoverable = failure.recoverable;
    this.action = action;
  }
}

/** The sub-action was ended by someone. */
export class TaskAbortedError extends TaskFailedError {
  override readonly name = "TaskAbortedError";
}

/** The sub-action took longer than its timeout. */
export class TaskTimedOutError extends TaskFailedError {
  override readonly name = "TaskTimedOutError";
}

/** Thrown by a task's code: another attempt would fail in the same way, so there is none. */
export class NonRecoverableError extends Error {
  override readonly name = "NonRecoverableError";
}

/** A value is not what a schema says. */
export class ValidationError extends Error {
  override readonly name = "ValidationError";
}
