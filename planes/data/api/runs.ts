/** Flyte's RunService: submitting, reading, watching and ending runs of this cluster. */
import { limits, rootAction } from "@biplane/base";
import { flyte } from "@biplane/data-wire";
import { objectUri } from "@biplane/layout";
import { create, fromBinary } from "@bufbuild/protobuf";
import { authorizedCall } from "../router/call.ts";
import { serve } from "../router/router.ts";
import type { ActionRecord, ListFilter, RunRecord } from "../runs/types.ts";
import { actingSubject } from "./acting.ts";
import { createRun } from "./create-run.ts";
import { actionDetails, actionMessage, enrichedAction, type MessageContext } from "./messages/action.ts";
import { equal, inChunks, listQueryOf } from "./messages/lists.ts";
import { runMessage } from "./messages/run.ts";
import { actionIdOf, projectDomainOf, runIdOf } from "./names.ts";
import type { ApiParts } from "./parts.ts";
import { scopeOf } from "./scopes.ts";

/** Actions in one message of a watch. */
const watchChunk = 500;
const reasonCharactersMax = 4_096;

export function runService(parts: ApiParts) {
  const methods = { ...commands(parts), ...reads(parts), ...watches(parts) };
  return serve(flyte.workflow.RunService, methods, limits.requestBytesMax);
}

function commands(parts: ApiParts): Served {
  const { runs } = parts;
  return {
    createRun: async (request, context) => {
      const record = await createRun(parts, authorizedCall(context), request);
      return { run: runMessage(record, await messageContext(parts, [record])) };
    },
    abortRun: async (request, context) => {
      const { org, principal } = authorizedCall(context);
      const reason = (request.reason ?? "").slice(0, reasonCharactersMax);
      await runs.abortRun(runIdOf(org, request.runId), { reason, by: actingSubject(principal) });
      return {};
    },
    abortAction: async (request, context) => {
      const { org, principal } = authorizedCall(context);
      const reason = request.reason.slice(0, reasonCharactersMax);
      await runs.abortAction(actionIdOf(org, request.actionId), { reason, by: actingSubject(principal) });
      return {};
    },
  };
}

function reads(parts: ApiParts): Served {
  const { runs } = parts;
  return {
    getRunDetails: async (request, context) => {
      const id = runIdOf(authorizedCall(context).org, request.runId);
      const record = await runs.getAction({ ...id, action: rootAction });
      return { details: await runDetails(parts, record) };
    },
    getActionDetails: async (request, context) => {
      const id = actionIdOf(authorizedCall(context).org, request.actionId);
      return { details: await details(parts, await runs.getAction(id)) };
    },
    getActionDataURIs: async (request, context) => {
      const record = await runs.getAction(actionIdOf(authorizedCall(context).org, request.actionId));
      return { inputsUri: record.inputUri, outputsUri: outputsFileUri(record) ?? "" };
    },
    listRuns: async (request, context) => {
      const call = authorizedCall(context);
      if (request.scopeBy.case === "triggerName") return { runs: [], token: "" };
      const query = listQueryOf(request.request, taskFilters(request.scopeBy));
      const listed = await runs.listRuns(scopeOf(call.resource), query);
      const messages = await messageContext(parts, listed.items);
      return { runs: listed.items.map((record) => runMessage(record, messages)), token: listed.nextCursor };
    },
    listActions: async (request, context) => {
      const id = runIdOf(authorizedCall(context).org, request.runId);
      const listed = await runs.listActions(id, listQueryOf(request.request));
      const messages = await messageContext(parts, listed.items);
      return {
        actions: listed.items.map((record) => actionMessage(record, messages)),
        token: listed.nextCursor,
      };
    },
  };
}

function watches(parts: ApiParts): Served {
  const { runs } = parts;
  return {
    async *watchRunDetails(request, context) {
      const id = runIdOf(authorizedCall(context).org, request.runId);
      for await (const record of runs.watchAction({ ...id, action: rootAction }, context.signal)) {
        yield { details: await runDetails(parts, record) };
      }
    },
    async *watchActionDetails(request, context) {
      const id = actionIdOf(authorizedCall(context).org, request.actionId);
      for await (const record of runs.watchAction(id, context.signal)) {
        yield { details: await details(parts, record) };
      }
    },
    async *watchRuns(_request, context) {
      const { org, resource } = authorizedCall(context);
      const { project = "", domain = "" } = resource;
      const scope = projectDomainOf(org, { project, domain });
      for await (const records of runs.watchRuns(scope, context.signal)) {
        const messages = await messageContext(parts, records);
        for (const chunk of inChunks(records, watchChunk)) {
          yield { runs: chunk.map((record) => runMessage(record, messages)) };
        }
      }
    },
    async *watchActions(request, context) {
      const id = runIdOf(authorizedCall(context).org, request.runId);
      for await (const records of runs.watchActions(id, context.signal)) {
        const messages = await messageContext(parts, records);
        for (const chunk of inChunks(records, watchChunk)) {
          yield { enrichedActions: chunk.map((record) => enrichedAction(record, messages)) };
        }
      }
    },
  };
}

type Served = Parameters<typeof serve<typeof flyte.workflow.RunService>>[1];

async function runDetails(parts: ApiParts, root: ActionRecord): Promise<flyte.workflow.RunDetails> {
  const { org, project, domain, run } = root;
  const runSpec = fromBinary(
    flyte.task.RunSpecSchema,
    await parts.runs.runSpec({ org, project, domain, run }),
  );
  return create(flyte.workflow.RunDetailsSchema, { runSpec, action: await details(parts, root) });
}

async function details(parts: ApiParts, sealed: ActionRecord): Promise<flyte.workflow.ActionDetails> {
  const record = await parts.runs.withTexts(sealed);
  const messages = await messageContext(parts, [record]);
  if (record.specDigest === undefined) return actionDetails(record, { case: undefined }, messages);
  const bytes = await parts.runs.document(record.project, record.specDigest);
  if (record.kind === "trace") {
    const value = fromBinary(flyte.task.TraceSpecSchema, bytes);
    return actionDetails(record, { case: "trace", value }, messages);
  }
  const value = fromBinary(flyte.task.TaskSpecSchema, bytes);
  return actionDetails(record, { case: "task", value }, messages);
}

/** File that holds an action's outputs: a task's `outputUri` is a directory, a trace's the file itself. */
export function outputsFileUri(record: ActionRecord): string | undefined {
  if (record.outputUri === undefined || record.kind === "trace") return record.outputUri;
  return `${record.outputUri.replace(/\/$/, "")}/outputs.pb`;
}

function taskFilters(scopeBy: flyte.workflow.ListRunsRequest["scopeBy"]): ListFilter[] {
  if (scopeBy.case !== "taskName" && scopeBy.case !== "taskId") return [];
  const filters = [{ field: "task_name", operator: equal, values: [scopeBy.value.name] }];
  if (scopeBy.case === "taskId") {
    filters.push({ field: "task_version", operator: equal, values: [scopeBy.value.version] });
  }
  return filters;
}

export async function messageContext(
  parts: ApiParts,
  records: readonly (ActionRecord | RunRecord)[],
): Promise<MessageContext> {
  const subjects = records.flatMap((record) =>
    "abort" in record && record.abort !== undefined
      ? [record.createdBy, record.abort.by]
      : [record.createdBy],
  );
  return {
    nameOf: await parts.subjects.load(subjects),
    cluster: parts.cluster,
    uriOf: (key) => objectUri(parts.objects.bucket, key),
  };
}
