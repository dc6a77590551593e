/** Our records of actions as Flyte's messages. */
import type { ActionId } from "@biplane/base";
import { flyte } from "@biplane/data-wire";
import { reportKey } from "@biplane/layout";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { textOf } from "../../runs/texts.ts";
import type { ActionRecord, AttemptRecord, PhaseTransition, RecordedFailure } from "../../runs/types.ts";
import { actionIdentifier, attemptOf } from "../names.ts";
import type { NameOf } from "../subject-names.ts";
import { timestamp } from "./times.ts";

const { ActionType, ErrorInfo_Kind, RunSource } = flyte.workflow;

export interface MessageContext {
  readonly nameOf: NameOf;
  readonly cluster: string;
  /** URI of an object of this cluster's store. */
  readonly uriOf: (key: string) => string;
}

export function actionMessage(record: ActionRecord, context: MessageContext): flyte.workflow.Action {
  return create(flyte.workflow.ActionSchema, actionInit(record, context));
}

export function actionInit(record: ActionRecord, context: MessageContext) {
  return {
    id: actionIdentifier(record),
    metadata: metadata(record, context),
    status: status(record),
  };
}

export function enrichedAction(record: ActionRecord, context: MessageContext): flyte.workflow.EnrichedAction {
  return create(flyte.workflow.EnrichedActionSchema, {
    action: actionInit(record, context),
    meetsFilter: true,
  });
}

/** `record` with its texts opened. */
export function actionDetails(
  record: ActionRecord,
  spec: MessageInitShape<typeof flyte.workflow.ActionDetailsSchema>["spec"],
  context: MessageContext,
): flyte.workflow.ActionDetails {
  return create(flyte.workflow.ActionDetailsSchema, {
    ...actionInit(record, context),
    result: result(record, context),
    spec: spec ?? { case: undefined },
    attempts: record.attempts.map((attempt) => attemptMessage(record, attempt, context)),
  });
}

function metadata(record: ActionRecord, context: MessageContext) {
  return {
    parent: record.parent,
    group: record.group,
    executedBy: context.nameOf(record.createdBy),
    spec: specMetadata(record),
    actionType: { task: ActionType.TASK, trace: ActionType.TRACE, condition: ActionType.CONDITION }[
      record.kind
    ],
    environmentName: record.environmentName,
    // Flyte's own spelling.
    funtionName: record.shortName,
    source: RunSource.CLI,
  };
}

function specMetadata(
  record: ActionRecord,
): MessageInitShape<typeof flyte.workflow.ActionMetadataSchema>["spec"] {
  if (record.kind === "trace") return { case: "trace", value: { name: record.taskName } };
  if (record.kind === "condition") return { case: "condition", value: { name: record.taskName } };
  const { org, project, domain, taskName, taskVersion } = record;
  return {
    case: "task",
    value: {
      id: { org, project, domain, name: taskName, version: taskVersion },
      taskType: record.taskType,
      shortName: record.shortName,
    },
  };
}

function status(record: ActionRecord) {
  const { createdAtMs, startedAtMs, endedAtMs } = record;
  return {
    phase: record.phase as number,
    // Clients read it of queued actions too.
    startTime: timestamp(startedAtMs ?? createdAtMs),
    endTime: timestamp(endedAtMs),
    attempts: Math.max(1, record.attempts.length),
    ...(endedAtMs === undefined
      ? {}
      : { durationMs: BigInt(Math.max(0, Math.round(endedAtMs - (startedAtMs ?? createdAtMs)))) }),
  };
}

function result(
  record: ActionRecord,
  context: MessageContext,
): MessageInitShape<typeof flyte.workflow.ActionDetailsSchema>["result"] {
  if (record.abort !== undefined) {
    const { reason, by } = record.abort;
    return { case: "abortInfo", value: { reason: textOf(reason), abortedBy: context.nameOf(by) } };
  }
  if (record.failure !== undefined) return { case: "errorInfo", value: errorInfo(record.failure) };
  return { case: undefined };
}

function errorInfo(failure: RecordedFailure) {
  const kind = failure.kind === "user" ? ErrorInfo_Kind.USER : ErrorInfo_Kind.SYSTEM;
  return { message: textOf(failure.message), kind };
}

function attemptMessage(action: ActionId, attempt: AttemptRecord, context: MessageContext) {
  const id = attemptOf(action, attempt.attempt);
  return {
    attempt: attempt.attempt,
    phase: attempt.phase as number,
    startTime: timestamp(attempt.startedAtMs),
    endTime: timestamp(attempt.endedAtMs),
    ...(attempt.failure === undefined ? {} : { errorInfo: errorInfo(attempt.failure) }),
    outputs: {
      outputUri: attempt.outputPrefix,
      reportUri: attempt.hasReport ? context.uriOf(reportKey(id)) : "",
    },
    logsAvailable: attempt.logsAvailable,
    phaseTransitions: attempt.transitions.map((transition, index) =>
      transitionMessage(transition, attempt.transitions[index + 1]),
    ),
    cluster: context.cluster,
  };
}

function transitionMessage(transition: PhaseTransition, following: PhaseTransition | undefined) {
  return {
    phase: transition.phase as number,
    startTime: timestamp(transition.atMs),
    endTime: timestamp(following?.atMs),
  };
}
