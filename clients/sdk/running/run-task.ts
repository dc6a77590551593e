/** Runs one attempt of a task for the worker: decodes, calls, encodes. Internal. */
import * as flyteTask from "@biplane/data-wire/flyte/task";
import * as worker from "@biplane/data-wire/gen/biplane/worker/v1/worker_pb.js";
import { create, fromBinary } from "@bufbuild/protobuf";
import type { RunTask, WorkerDone, WorkerHost, WorkerStart } from "../host.ts";
import { withObjectAccess } from "../storage/object-access.ts";
import { S3Access } from "../storage/s3-access.ts";
import { createCheckpoint } from "../tasks/checkpoint.ts";
import type { TaskContext } from "../tasks/context.ts";
import {
  inputFields,
  outputType,
  type TaskDefinition,
  takesWholeInput,
  wholeInput,
} from "../tasks/definition.ts";
import { ValidationError } from "../tasks/errors.ts";
import { findTask, registeredTasks } from "../tasks/registry.ts";
import { bundleArgument, type TaskPlace, taskArgument } from "../tasks/specification.ts";
import { validate } from "../tasks/validate.ts";
import { decodeInputs, encodeOutputs } from "../values/inputs-outputs.ts";
import { Children } from "./children.ts";
import { failureOf } from "./failures.ts";
import { RunningScope } from "./running-scope.ts";
import { runInScope } from "./scope.ts";
import { requireFits } from "./sizes.ts";

export const runTask: RunTask = async (start, host) => {
  const ended = new AbortController();
  try {
    const outputs = await attempt(start, host, ended.signal);
    return create(worker.DoneSchema, { result: { case: "outputs", value: outputs } });
  } catch (error) {
    return failed(error);
  } finally {
    ended.abort();
  }
};

function failed(error: unknown): WorkerDone {
  return create(worker.DoneSchema, { result: { case: "error", value: failureOf(error) } });
}

async function attempt(start: WorkerStart, host: WorkerHost, ended: AbortSignal): Promise<Uint8Array> {
  const template = fromBinary(flyteTask.TaskSpecSchema, start.taskSpec).taskTemplate;
  const commandLine = template?.target.case === "container" ? template.target.value.args : [];
  const definition = findDefinition(commandLine);
  const access = new S3Access({
    access: host.storeAccess,
    send: host.store,
    newObjectsPrefix: start.rawDataPrefix,
  });
  const context = contextOf(start, argumentAfter(commandLine, taskArgument), access, host.cancelled);
  const place: TaskPlace = {
    org: start.org,
    project: start.project,
    domain: start.domain,
    version: template?.id?.version ?? "",
    bundleUri: argumentAfter(commandLine, bundleArgument),
  };
  const children = new Children({
    router: host.router,
    run: { org: start.org, project: start.project, domain: start.domain, name: start.run },
    parent: start.action,
    attempt: start.attempt,
    ended,
    onOpenChange: (open) => host.setWaiting(open > 0),
  });
  const scope = new RunningScope({ context, place, runBase: start.runBase, host, access, children });
  const input = await readInput(definition, start.inputs);
  const output = await withObjectAccess(access, () =>
    runInScope(scope, async () => definition.run(input as never)),
  );
  return writeOutput(definition, output);
}

function findDefinition(commandLine: readonly string[]): TaskDefinition {
  const name = argumentAfter(commandLine, taskArgument);
  const definition = findTask(name);
  if (definition !== undefined) return definition;
  const known = [...registeredTasks().keys()].join(", ");
  throw new ValidationError(
    `The code bundle has no task ${JSON.stringify(name)}; it has: ${known || "none"}. Export the task from the module that you run.`,
  );
}

function argumentAfter(commandLine: readonly string[], option: string): string {
  const index = commandLine.indexOf(option);
  return index < 0 ? "" : (commandLine[index + 1] ?? "");
}

function contextOf(start: WorkerStart, task: string, access: S3Access, cancelled: AbortSignal): TaskContext {
  const checkpointUri = `${start.outputsPrefix.replace(/\/+$/, "")}/_flytecheckpoints`;
  const previous = start.previousCheckpoint === "" ? undefined : start.previousCheckpoint;
  return {
    org: start.org,
    project: start.project,
    domain: start.domain,
    run: start.run,
    action: start.action,
    attempt: start.attempt,
    task,
    runStartTime: new Date(start.runStartTime),
    checkpoint: createCheckpoint(access, checkpointUri, previous),
    cancelled,
  };
}

async function readInput(definition: TaskDefinition, inputs: Uint8Array): Promise<unknown> {
  if (definition.inputSchema === undefined) return undefined;
  let decoded: Record<string, unknown>;
  try {
    decoded = decodeInputs(inputFields(definition), inputs);
  } catch (error) {
    if (error instanceof TypeError) throw new ValidationError(error.message, { cause: error });
    throw error;
  }
  const value = takesWholeInput(definition) ? decoded[wholeInput] : decoded;
  return validate(definition.inputSchema, value, "input");
}

async function writeOutput(definition: TaskDefinition, output: unknown): Promise<Uint8Array> {
  const value = await validate(definition.outputSchema, output, "output");
  const outputs = encodeOutputs(outputType(definition), value);
  requireFits("The output", outputs);
  return outputs;
}
