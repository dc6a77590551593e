/**
 * Makes an attempt's end durable: its outputs or its error, and `outcome.pb` on the condition that none exists. Whoever
 * comes second adopts the first, so that no attempt ever has two recorded results (rule of state 7). Both are written
 * at once, to share a sync: a success counts only together with outputs of the digest that it names.
 */
import { createHash } from "node:crypto";
import { type AttemptId, BiplaneError, isBiplaneError, KiB, limits } from "@biplane/base";
import { FailureKind } from "@biplane/control-wire";
import { flyte, outcome } from "@biplane/data-wire";
import { errorKey, outcomeKey, outputsKey } from "@biplane/layout";
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import type { ObjectStore } from "../objects/types.ts";
import type { ActionFailure, AttemptOutcome } from "../runs/types.ts";
import { type AttemptResult, toOutcome } from "./failures.ts";

export type RecordableResult = Exclude<AttemptResult, { kind: "ended" }>;
type OutcomeInit = MessageInitShape<typeof outcome.AttemptOutcomeSchema>;

const outcomeBytesMax = limits.errorMessageBytesMax + 64 * KiB;

/** The outcome that counts: this one, or the one that was recorded before. */
export async function recordOutcome(
  objects: ObjectStore,
  attempt: AttemptId,
  result: RecordableResult,
  hasReport: boolean,
): Promise<AttemptOutcome> {
  const record = toBinary(outcome.AttemptOutcomeSchema, describe(result, hasReport));
  const [content, decision] = await Promise.allSettled([
    putContent(objects, attempt, result),
    objects.put(outcomeKey(attempt), record, { ifAbsent: true }),
  ]);
  if (content.status === "rejected") throw content.reason;
  if (decision.status === "fulfilled") return toOutcome(result, hasReport);
  if (!isBiplaneError(decision.reason, "already_exists")) throw decision.reason;
  return (await readOutcome(objects, attempt)) ?? toOutcome(result, hasReport);
}

async function putContent(objects: ObjectStore, attempt: AttemptId, result: RecordableResult): Promise<void> {
  if (result.kind === "outputs") await objects.put(outputsKey(attempt), result.outputs);
  if (result.kind === "failure") await objects.put(errorKey(attempt), encodeError(result.failure));
}

/** What was recorded for the attempt; undefined: nothing, or a success whose outputs a crash kept from the disk. */
export async function readOutcome(
  objects: ObjectStore,
  attempt: AttemptId,
): Promise<AttemptOutcome | undefined> {
  const bytes = await objects.read(outcomeKey(attempt), outcomeBytesMax);
  if (bytes === undefined) return undefined;
  const { result, hasReport } = fromBinary(outcome.AttemptOutcomeSchema, bytes);
  if (result.case === "success") {
    const complete = await hasOutputs(objects, attempt, result.value.outputsDigest);
    return complete ? { kind: "succeeded", hasReport } : undefined;
  }
  const error = result.value?.error;
  if (error === undefined) throw new BiplaneError("data_loss", "A recorded outcome can't be read.");
  const failure: ActionFailure = {
    code: error.code,
    message: error.message,
    kind: error.kind === FailureKind.USER ? "user" : "system",
    recoverable: error.recoverable,
  };
  return { kind: result.value?.timedOut ? "timed_out" : "failed", failure, hasReport };
}

async function hasOutputs(objects: ObjectStore, attempt: AttemptId, digest: Uint8Array): Promise<boolean> {
  if (digest.length === 0) return true;
  const outputs = await objects.read(outputsKey(attempt), limits.readBytesMax);
  return outputs !== undefined && Buffer.compare(sha256(outputs), digest) === 0;
}

function describe(result: RecordableResult, hasReport: boolean) {
  return create(outcome.AttemptOutcomeSchema, { result: describeResult(result), hasReport });
}

function describeResult(result: RecordableResult): NonNullable<OutcomeInit["result"]> {
  if (result.kind !== "failure") {
    const digest = result.outputs === undefined ? new Uint8Array(0) : sha256(result.outputs);
    return { case: "success", value: { outputsDigest: digest } };
  }
  const { failure, timedOut } = result;
  const kind = failure.kind === "user" ? FailureKind.USER : FailureKind.SYSTEM;
  return { case: "failure", value: { error: { ...failure, kind }, timedOut } };
}

function sha256(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(createHash("sha256").update(bytes).digest());
}

/** `error.pb` as Flyte's clients read it. */
function encodeError(failure: ActionFailure): Uint8Array {
  return toBinary(
    flyte.core.ErrorDocumentSchema,
    create(flyte.core.ErrorDocumentSchema, {
      error: {
        code: failure.code,
        message: failure.message,
        kind: failure.recoverable
          ? flyte.core.ContainerError_Kind.RECOVERABLE
          : flyte.core.ContainerError_Kind.NON_RECOVERABLE,
        origin:
          failure.kind === "user"
            ? flyte.core.ExecutionError_ErrorKind.USER
            : flyte.core.ExecutionError_ErrorKind.SYSTEM,
      },
    }),
  );
}
