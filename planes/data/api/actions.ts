/** Flyte's ActionsService: how tasks of stock runtimes enqueue and watch their sub-actions. */
import { type AttemptId, BiplaneError, limits, parseActionName } from "@biplane/base";
import { FailureKind } from "@biplane/control-wire";
import { flyte } from "@biplane/data-wire";
import { requireOwnLocation, runPrefix } from "@biplane/layout";
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { type AuthorizedCall, authorizedCall } from "../router/call.ts";
import { serve } from "../router/router.ts";
import { textOf } from "../runs/texts.ts";
import type { ActionFailure, ActionRecord, NewTrace, RecordedFailure } from "../runs/types.ts";
import { actingSubject } from "./acting.ts";
import { millisecondsOf } from "./messages/times.ts";
import { actionIdentifier, actionIdOf } from "./names.ts";
import type { ApiParts } from "./parts.ts";

const { ExecutionError_ErrorKind } = flyte.core;
const { WatchForUpdatesResponseSchema } = flyte.actions;

export function actionsService(parts: ApiParts) {
  const { runs } = parts;
  return serve(
    flyte.actions.ActionsService,
    {
      enqueue: async (request, context) => {
        const parent = callingAttempt(authorizedCall(context));
        const { action } = request;
        if (action === undefined) throw new BiplaneError("invalid_argument", "The request has no action.");
        await enqueue(parts, parent, action);
        return {};
      },
      async *watchForUpdates(_request, context) {
        const parent = callingAttempt(authorizedCall(context));
        for await (const update of runs.watchChildren(parent, parent.action, context.signal)) {
          for (const record of update.updates) yield updateMessage(await runs.withTexts(record));
          if (update.snapshotEnd) yield sentinel();
        }
        // A stream that ends with `canceled` would leave the parent waiting for ever.
        if (context.signal.aborted)
          throw new BiplaneError("unavailable", "The router is closing the stream.");
      },
      abort: async (request, context) => {
        const { org, principal } = authorizedCall(context);
        const reason = (request.reason ?? "").slice(0, 4_096);
        await runs.abortAction(actionIdOf(org, request.actionId), { reason, by: actingSubject(principal) });
        return {};
      },
    },
    limits.requestBytesMax,
  );
}

/** The attempt whose sandbox the request came from; only tasks get this far. */
export function callingAttempt(call: AuthorizedCall): AttemptId {
  if (call.principal.attempt !== undefined) return call.principal.attempt;
  throw new BiplaneError("permission_denied", "Only a running task has sub-actions.");
}

async function enqueue(parts: ApiParts, parent: AttemptId, action: flyte.actions.Action): Promise<void> {
  const name = parseActionName(action.actionId?.name ?? "");
  const { spec, group } = action;
  if (spec.case === "trace") {
    await parts.runs.recordTraces(parent, [traceOf(parts, parent, name, group, spec.value)]);
    return;
  }
  if (spec.case !== "task" || spec.value.spec === undefined) {
    throw new BiplaneError(
      "invalid_argument",
      {
        what: "This kind of action can't be enqueued.",
        why: "Tasks with their specification and traces can.",
      },
      { reason: "action_kind_unsupported" },
    );
  }
  requireOwnLocation(action.inputUri, parts.objects.bucket, runPrefix(parent));
  const taskSpec = toBinary(flyte.task.TaskSpecSchema, spec.value.spec);
  await parts.runs.enqueueChildren(parent, [{ name, group, taskSpec, inputUri: action.inputUri }]);
}

type TraceAction = flyte.workflow.TraceAction;

function traceOf(
  parts: ApiParts,
  parent: AttemptId,
  name: NewTrace["name"],
  group: string,
  trace: TraceAction,
): NewTrace {
  const now = parts.clock.now();
  const outputUri = trace.outputs?.outputUri ?? "";
  if (outputUri !== "") requireOwnLocation(outputUri, parts.objects.bucket, runPrefix(parent));
  return {
    name,
    functionName: trace.name,
    group,
    startedAtMs: millisecondsOf(trace.startTime) ?? now,
    endedAtMs: millisecondsOf(trace.endTime) ?? now,
    // As it came: clients read exactly this file.
    outputUri,
    phase: trace.phase as number,
    failure: undefined,
    spec: trace.spec === undefined ? undefined : toBinary(flyte.task.TraceSpecSchema, trace.spec),
  };
}

function updateMessage(record: ActionRecord): flyte.actions.WatchForUpdatesResponse {
  return create(WatchForUpdatesResponseSchema, {
    message: {
      case: "actionUpdate",
      value: {
        actionId: actionIdentifier(record),
        phase: record.phase as number,
        outputUri: record.outputUri ?? "",
        ...(record.failure === undefined ? {} : { error: executionError(record.failure) }),
      },
    },
  });
}

function executionError(failure: RecordedFailure): MessageInitShape<typeof flyte.core.ExecutionErrorSchema> {
  const kind = failure.kind === "user" ? ExecutionError_ErrorKind.USER : ExecutionError_ErrorKind.SYSTEM;
  return { code: failure.code, message: textOf(failure.message), kind };
}

function sentinel(): flyte.actions.WatchForUpdatesResponse {
  return create(WatchForUpdatesResponseSchema, {
    message: { case: "controlMessage", value: { sentinel: true } },
  });
}

/** As the control wire counts them. */
export function failureKind(kind: ActionFailure["kind"]): FailureKind {
  return kind === "user" ? FailureKind.USER : FailureKind.SYSTEM;
}
