/** Failures of a task's process as the executor records them. */
import { types } from "node:util";
import { cutText, limits } from "@biplane/base";
import { FailureKind } from "@biplane/control-wire";
import * as worker from "@biplane/data-wire/gen/biplane/worker/v1/worker_pb.js";
import { create } from "@bufbuild/protobuf";

/** What user code threw where the SDK could not catch it, e.g. while its bundle was imported. */
export function failureOf(code: string, error: unknown, recoverable = true): worker.Done {
  const message = cutText(describe(error), limits.errorMessageBytesMax);
  return create(worker.DoneSchema, {
    result: { case: "error", value: { code, message, recoverable, kind: FailureKind.USER } },
  });
}

function describe(error: unknown): string {
  if (types.isNativeError(error)) return error.stack ?? error.message;
  try {
    return String(error);
  } catch {
    return "A value was thrown that can't be shown.";
  }
}
