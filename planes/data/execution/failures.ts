/** The ways an attempt can end without a result of its own, in words. Codes may cross the border; texts do not. */
import { type BiplaneError, cutText, limits } from "@biplane/base";
import type { ActionFailure, AttemptOutcome } from "../runs/types.ts";
import type { SandboxEnd } from "./sandbox/types.ts";

/** How an attempt's process ended, before it is made durable. */
export type AttemptResult =
  | { readonly kind: "outputs"; readonly outputs: Uint8Array }
  /** The task wrote them into the store itself. */
  | { readonly kind: "stored_outputs"; readonly outputs: Uint8Array | undefined }
  | { readonly kind: "failure"; readonly failure: ActionFailure; readonly timedOut: boolean }
  /** The action was ended elsewhere: nothing is recorded. */
  | { readonly kind: "ended" };

export function failed(failure: ActionFailure): AttemptResult {
  const code = cutText(failure.code, limits.errorCodeBytesMax);
  const message = cutText(failure.message, limits.errorMessageBytesMax);
  return { kind: "failure", failure: { ...failure, code, message }, timedOut: false };
}

export function userFailure(code: string, message: string, recoverable = true): AttemptResult {
  return failed({ code, message, kind: "user", recoverable });
}

export function systemFailure(code: string, message: string): AttemptResult {
  return failed({ code, message, kind: "system", recoverable: true });
}

/** What stopped the attempt before its task began, e.g. a missing bundle. Another attempt would meet the same. */
export function preparationFailure(error: BiplaneError): AttemptResult {
  const failure = { code: error.reason ?? error.code, message: error.message };
  return error.retryable
    ? failed({ ...failure, kind: "system", recoverable: true })
    : failed({ ...failure, kind: "user", recoverable: false });
}

export function timedOut(timeoutMs: number): AttemptResult {
  const message = `The attempt took longer than its time-out of ${timeoutMs / 1_000} s and was ended. Raise the task's timeout, or make the task faster.`;
  return {
    kind: "failure",
    failure: { code: "TimedOut", message, kind: "user", recoverable: true },
    timedOut: true,
  };
}

export function workerLost(): ActionFailure {
  const message = "The data plane ended while the attempt was running. It is tried again.";
  return { code: "worker_lost", message, kind: "system", recoverable: true };
}

/** A process that ended before it gave a result. */
export function unexpectedEnd(end: SandboxEnd, memoryBytes: number | undefined): AttemptResult {
  if (end.memoryExceeded) {
    const limit =
      memoryBytes === undefined ? "its limit" : `its limit of ${Math.round(memoryBytes / 2 ** 20)} MiB`;
    return userFailure("OOMKilled", `The task needed more memory than ${limit}. Raise the task's memory.`);
  }
  const signal = end.signal ?? signalOf(end.exitCode);
  if (signal === "SIGKILL")
    return systemFailure("worker_lost", "The task's process was killed from outside. It is tried again.");
  if (signal !== undefined)
    return userFailure("ProcessCrashed", `The task's process crashed (${signal}). Its log may say more.`);
  const message = `The task's process ended with exit code ${end.exitCode ?? "unknown"} before the task returned. Return from the task instead of ending the process.`;
  return userFailure("ProcessExited", message);
}

const signals: Readonly<Record<number, string>> = {
  4: "SIGILL",
  5: "SIGTRAP",
  6: "SIGABRT",
  7: "SIGBUS",
  8: "SIGFPE",
  9: "SIGKILL",
  11: "SIGSEGV",
  15: "SIGTERM",
};

/** The sandbox's first process passes a signal on as 128 and its number. */
function signalOf(exitCode: number | undefined): string | undefined {
  return exitCode === undefined ? undefined : signals[exitCode - 128];
}

/** As the queue takes it. */
export function toOutcome(
  result: Exclude<AttemptResult, { kind: "ended" }>,
  hasReport: boolean,
): AttemptOutcome {
  if (result.kind !== "failure") return { kind: "succeeded", hasReport };
  return { kind: result.timedOut ? "timed_out" : "failed", failure: result.failure, hasReport };
}
