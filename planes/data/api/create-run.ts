/**
 * CreateRun: checks what was submitted, pins what it refers to, and hands it to the runs engine as bytes. The checks go
 * on beside the audit record's way to the disk; nothing is stored before it is there.
 */
import { createHash } from "node:crypto";
import { BiplaneError, isRegionAllowed, type ProjectDomain, parseRunName } from "@biplane/base";
import { flyte, readSupplement, supplement } from "@biplane/data-wire";
import { projectPrefix, requireOwnLocation } from "@biplane/layout";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import type { AuthorizedCall } from "../router/call.ts";
import { regionNotAllowed } from "../runs/admission-errors.ts";
import type { NewRun, RunRecord } from "../runs/types.ts";
import { actingSubject } from "./acting.ts";
import { inputsUriIn, storeInputs, withDefaults } from "./inputs.ts";
import { millisecondsOf } from "./messages/times.ts";
import { projectDomainOf, requireKnownDomain, taskIdOf } from "./names.ts";
import type { ApiParts } from "./parts.ts";
import { bundlePins, pinObject } from "./pins.ts";

const { RunSpecSchema, TaskSpecSchema } = flyte.task;
const { CreateRunRequestSchema, RunSource } = flyte.workflow;
type Request = flyte.workflow.CreateRunRequest;

export async function createRun(parts: ApiParts, call: AuthorizedCall, request: Request): Promise<RunRecord> {
  const scope = scopeOf(call, request);
  requireKnownDomain(scope);
  requireAllowedRegion(parts, scope.project);
  // Before anything is added to it: the repeat key and the document are about what the client sent.
  const bytes = toBinary(CreateRunRequestSchema, request);
  const taskSpec = await taskSpecOf(parts, call, request);
  const spec = fromBinary(TaskSpecSchema, taskSpec);
  const runSpec = request.runSpec ?? create(RunSpecSchema);
  requireOwnStorage(parts, scope, runSpec);
  const inputUri = await inputsOf(parts, call, request, spec);
  const pins = await Promise.all([
    bundlePins(parts, scope, spec),
    pinObject(parts, scope, inputUri, "inputs").then((pin) => [pin]),
  ]);
  const run: NewRun = {
    scope,
    name: request.id.case === "runId" ? parseRunName(request.id.value.name) : undefined,
    createdBy: actingSubject(call.principal),
    request: bytes,
    taskSpec,
    runSpec: toBinary(RunSpecSchema, runSpec),
    inputUri,
    pins: pins.flat(),
    source: request.source === RunSource.UNSPECIFIED ? RunSource.CLI : request.source,
    runStartTimeMs: startTimeOf(request, runSpec) ?? parts.clock.now(),
    repeatKey: repeatKeyOf(call, bytes),
  };
  await call.recorded;
  return parts.runs.createRun(run);
}

/** Before anything is stored here; the control plane, which may know of a newer restriction, decides as well. */
function requireAllowedRegion({ projects, residency }: ApiParts, project: string): void {
  const { regions = [], organizationRegions = [] } = projects.entry(project) ?? {};
  const { declared } = residency.regions;
  if (isRegionAllowed(declared, regions, organizationRegions)) return;
  throw regionNotAllowed(project);
}

/** Rule of state 2: who, which request, and exactly what. */
export function repeatKeyOf(
  call: Pick<AuthorizedCall, "principal" | "clientRequestId">,
  request: Uint8Array,
): string | undefined {
  if (call.clientRequestId === undefined) return undefined;
  const digest = createHash("sha256").update(request).digest("hex");
  const parts = JSON.stringify([call.principal.subject, call.clientRequestId, digest]);
  return createHash("sha256").update(parts).digest("hex");
}

function scopeOf(call: AuthorizedCall, { id }: Request): ProjectDomain {
  if (id.case === "runId") return projectDomainOf(call.org, id.value);
  if (id.case === "projectId") {
    return projectDomainOf(call.org, { project: id.value.name, domain: id.value.domain });
  }
  throw new BiplaneError("invalid_argument", "The request names neither a run nor a project.");
}

async function taskSpecOf(parts: ApiParts, call: AuthorizedCall, { task }: Request): Promise<Uint8Array> {
  if (task.case === "taskSpec") return toBinary(TaskSpecSchema, task.value);
  if (task.case === "taskId") return (await parts.runs.getTask(taskIdOf(call.org, task.value))).spec;
  throw new BiplaneError("invalid_argument", {
    what: "The request names no task.",
    next: "Send `task_spec`, or `task_id` of a deployed task.",
  });
}

async function inputsOf(
  parts: ApiParts,
  call: AuthorizedCall,
  request: Request,
  spec: flyte.task.TaskSpec,
): Promise<string> {
  const { inputWrapper } = request;
  if (inputWrapper.case === "offloadedInputData") return inputsUriIn(inputWrapper.value.uri);
  const given = inputWrapper.case === "inputs" ? inputWrapper.value : undefined;
  await call.recorded;
  const stored = await storeInputs(parts, scopeOf(call, request), withDefaults(given, spec), spec);
  return inputsUriIn(stored.directoryUri);
}

function startTimeOf(request: Request, runSpec: flyte.task.RunSpec): number | undefined {
  const onSpec = readSupplement(runSpec, supplement.RunSpecSupplementSchema).runStartTime;
  const onRequest = readSupplement(request, supplement.CreateRunRequestSupplementSchema).runStartTime;
  return millisecondsOf(onSpec ?? onRequest);
}

/** Storage that a run asks for has to be its own project-domain's (claim TRUST-2). */
function requireOwnStorage(parts: ApiParts, scope: ProjectDomain, runSpec: flyte.task.RunSpec): void {
  const asked = [
    runSpec.rawDataStorage?.rawDataPrefix,
    readSupplement(runSpec, supplement.RunSpecSupplementSchema).runBaseDir,
  ];
  for (const uri of asked) {
    if (uri !== undefined && uri !== "") requireOwnLocation(uri, parts.objects.bucket, projectPrefix(scope));
  }
}
