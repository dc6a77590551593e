/** Sub-actions in batches, small values inline: the same engine as ActionsService, for Biplane's own workers. */
import {
  type AttemptId,
  BiplaneError,
  isBiplaneError,
  KiB,
  limits,
  MiB,
  parseActionName,
} from "@biplane/base";
import { Phase } from "@biplane/control-wire";
import { children } from "@biplane/data-wire";
import {
  actionInputsKey,
  objectUri,
  parseObjectUri,
  requireOwnLocation,
  runPrefix,
  traceOutputsKey,
} from "@biplane/layout";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { authorizedCall } from "../router/call.ts";
import { serve } from "../router/router.ts";
import { textOf } from "../runs/texts.ts";
import type { ActionFailure, ActionRecord, NewChild, NewTrace } from "../runs/types.ts";
import { callingAttempt, failureKind } from "./actions.ts";
import { inChunks } from "./messages/lists.ts";
import { millisecondsOf } from "./messages/times.ts";
import type { ApiParts } from "./parts.ts";
import { outputsFileUri } from "./runs.ts";
import { SpecMemory } from "./spec-memory.ts";

const childrenMax = 1_000;
const batchBytesMax = 8 * MiB;
/** Outputs up to this size travel with the update. */
const inlineOutputsBytesMax = 16 * KiB;
const updatesPerMessage = 200;

export function childrenService(parts: ApiParts) {
  const specs = new SpecMemory(parts.runs);
  return serve(
    children.ChildrenService,
    {
      enqueue: async (request, context) => {
        const parent = callingAttempt(authorizedCall(context));
        requireBounds(
          request.children.length,
          request.children.reduce((sum, child) => sum + sizeOf(child), 0),
        );
        for (const spec of request.taskSpecs) specs.remember(spec);
        const wanted = await Promise.all(
          request.children.map((child) => newChild(parts, specs, parent, child)),
        );
        await parts.runs.enqueueChildren(parent, wanted);
        return {};
      },
      async *watch(_request, context) {
        const parent = callingAttempt(authorizedCall(context));
        for await (const update of parts.runs.watchChildren(parent, parent.action, context.signal)) {
          for (const chunk of inChunks(update.updates, updatesPerMessage)) {
            const updates = await Promise.all(chunk.map((one) => childUpdate(parts, one)));
            const told = updates.filter((one) => one !== undefined);
            if (told.length > 0) yield { updates: told };
          }
          if (update.snapshotEnd) yield { snapshotEnd: true };
        }
      },
      recordTraces: async (request, context) => {
        const parent = callingAttempt(authorizedCall(context));
        requireBounds(
          request.traces.length,
          request.traces.reduce((sum, trace) => sum + traceSize(trace), 0),
        );
        const traces = request.traces.map((trace) => newTrace(parts, parent, trace));
        // Answered once both are on disk; until then neither counts, and the step may run again.
        await Promise.all([
          parts.runs.recordTraces(parent, traces),
          ...request.traces.map((trace) => storeOutputs(parts, parent, trace)),
        ]);
        return {};
      },
    },
    limits.requestBytesMax,
  );
}

function requireBounds(count: number, bytes: number): void {
  if (count > 0 && count <= childrenMax && bytes <= batchBytesMax) return;
  throw new BiplaneError("invalid_argument", {
    what: `A batch of ${count} with ${bytes} bytes can't be taken.`,
    why: `1 to ${childrenMax} with at most ${batchBytesMax} bytes together are.`,
    next: "Send several batches, and large values by URI.",
  });
}

function sizeOf(child: children.ChildAction): number {
  return child.inputs.case === "inline" ? child.inputs.value.length : 0;
}

function traceSize(trace: children.Trace): number {
  return trace.result.case === "outputs" ? trace.result.value.length : 0;
}

async function newChild(
  parts: ApiParts,
  specs: SpecMemory,
  parent: AttemptId,
  child: children.ChildAction,
): Promise<NewChild> {
  const name = parseActionName(child.name);
  const [taskSpec, inputUri] = await Promise.all([
    specs.find(parent.project, child.taskSpecDigest),
    inputUriOf(parts, parent, { ...child, name }),
  ]);
  return { name, group: child.group, taskSpec, inputUri };
}

async function inputUriOf(
  parts: ApiParts,
  parent: AttemptId,
  child: { readonly name: NewChild["name"]; readonly inputs: children.ChildAction["inputs"] },
): Promise<string> {
  const { bucket } = parts.objects;
  if (child.inputs.case === "uri") {
    requireOwnLocation(child.inputs.value, bucket, runPrefix(parent));
    return child.inputs.value;
  }
  const key = actionInputsKey({ ...parent, action: child.name });
  await parts.objects.put(key, child.inputs.case === "inline" ? child.inputs.value : new Uint8Array());
  return objectUri(bucket, key);
}

async function storeOutputs(parts: ApiParts, parent: AttemptId, trace: children.Trace): Promise<void> {
  if (trace.result.case !== "outputs") return;
  const key = traceOutputsKey({ ...parent, action: parseActionName(trace.name) });
  await parts.objects.put(key, trace.result.value);
}

function newTrace(parts: ApiParts, parent: AttemptId, trace: children.Trace): NewTrace {
  const name = parseActionName(trace.name);
  const key = traceOutputsKey({ ...parent, action: name });
  const now = parts.clock.now();
  const failure = trace.result.case === "error" ? failureOf(trace.result.value) : undefined;
  return {
    name,
    functionName: trace.functionName,
    group: trace.group,
    startedAtMs: millisecondsOf(trace.startedAt) ?? now,
    endedAtMs: millisecondsOf(trace.endedAt) ?? now,
    outputUri: failure === undefined ? objectUri(parts.objects.bucket, key) : "",
    phase: failure === undefined ? Phase.SUCCEEDED : Phase.FAILED,
    failure,
    spec: undefined,
  };
}

function failureOf(error: children.ActionError): ActionFailure {
  const { code, message, recoverable } = error;
  return { code, message, recoverable, kind: error.kind === failureKind("system") ? "system" : "user" };
}

type Update = MessageInitShape<typeof children.ChildUpdateSchema>;

/** Undefined for a step whose result a crash kept from the disk: nobody was told that it is recorded. */
async function childUpdate(parts: ApiParts, record: ActionRecord): Promise<Update | undefined> {
  const opened = await parts.runs.withTexts(record);
  const result = await resultOf(parts, opened);
  return result && { name: record.action, phase: record.phase, result };
}

async function resultOf(parts: ApiParts, record: ActionRecord): Promise<Update["result"]> {
  if (record.failure !== undefined) {
    const { code, message, recoverable, kind } = record.failure;
    return { case: "error", value: { code, message: textOf(message), recoverable, kind: failureKind(kind) } };
  }
  const uri = outputsFileUri(record);
  if (uri === undefined || uri === "") return { case: undefined };
  const byUri = { case: "outputsUri", value: uri } as const;
  try {
    const small = await parts.objects.read(parseObjectUri(uri).key, inlineOutputsBytesMax);
    if (small !== undefined) return { case: "outputs", value: small };
    return record.kind === "trace" ? undefined : byUri;
  } catch (error) {
    if (isBiplaneError(error, "resource_exhausted")) return byUri;
    throw error;
  }
}
