/** What `hello(…)`, `step(…)`, `group(…)` and `report` do inside a running task. */
import { KiB } from "@biplane/base";
import * as flyteTask from "@biplane/data-wire/flyte/task";
import * as children from "@biplane/data-wire/gen/biplane/data/v1/children_pb.js";
import { objectUri, parseObjectUri } from "@biplane/layout";
import { create, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { WorkerHost } from "../host.ts";
import type { ObjectAccess } from "../storage/object-access.ts";
import type { TaskContext } from "../tasks/context.ts";
import {
  inputFields,
  outputType,
  type TaskDefinition,
  takesWholeInput,
  wholeInput,
} from "../tasks/definition.ts";
import { TaskAbortedError, TaskFailedError, TaskTimedOutError } from "../tasks/errors.ts";
import { specificationOf, type TaskPlace } from "../tasks/specification.ts";
import { decodeOutputs, encodeInputs } from "../values/inputs-outputs.ts";
import type { Children } from "./children.ts";
import { failureOf } from "./failures.ts";
import { ActionNames, inputsHash, taskIdentity } from "./names.ts";
import { isAbort, isSuccess, isTimeout } from "./phases.ts";
import { runInScope, type Scope, type StepRecording } from "./scope.ts";
import { requireFits } from "./sizes.ts";

export interface Surroundings {
  readonly context: TaskContext;
  readonly place: TaskPlace;
  readonly runBase: string;
  readonly host: WorkerHost;
  readonly access: ObjectAccess;
  readonly children: Children;
}

/** Larger inputs travel through the store. */
const inlineBytesMax = 128 * KiB;
const specifications = new WeakMap<TaskDefinition, Uint8Array>();

export class RunningScope implements Scope {
  readonly group: string;
  readonly #surroundings: Surroundings;
  readonly #names: ActionNames;
  readonly #stepNames: ActionNames;

  constructor(
    surroundings: Surroundings,
    group = "",
    names = new ActionNames(surroundings.context.action),
    stepNames = new ActionNames(surroundings.context.action),
  ) {
    this.#surroundings = surroundings;
    this.group = group;
    this.#names = names;
    this.#stepNames = stepNames;
  }

  get context(): TaskContext {
    return this.#surroundings.context;
  }

  inGroup(name: string): Scope {
    return new RunningScope(this.#surroundings, name, this.#names, this.#stepNames);
  }

  setReport(html: string): void {
    this.#surroundings.host.sendReport(Buffer.from(html));
  }

  async callChild(definition: TaskDefinition, input: unknown): Promise<unknown> {
    const values = takesWholeInput(definition) ? { [wholeInput]: input } : (input as Record<string, unknown>);
    const inputs = encodeInputs(inputFields(definition), values);
    const name = this.#names.next(taskIdentity(definition), inputsHash(inputs), this.group);
    const update = await this.#surroundings.children.run({
      name,
      group: this.group,
      taskSpec: this.#specification(definition),
      inputs: await this.#deliver(name, toBinary(flyteTask.InputsSchema, inputs)),
    });
    return this.#result(definition, update);
  }

  async runStep(name: string, work: () => unknown, recording: StepRecording): Promise<unknown> {
    const action = this.#stepNames.next(`step ${name}`, "", this.group);
    const recorded = await this.#surroundings.children.findTrace(action);
    if (recorded !== undefined && isSuccess(recorded.phase)) {
      return recording.decode(await this.#outputsOf(recorded));
    }
    const startedAtMs = Date.now();
    const inside = this.inStep(action);
    try {
      const value = await runInScope(inside, work);
      const outputs = recording.encode(value);
      requireFits(`The result of step ${JSON.stringify(name)}`, outputs);
      await this.#record(action, name, startedAtMs, { case: "outputs", value: outputs });
      return recording.decode(outputs);
    } catch (error) {
      await this.#record(action, name, startedAtMs, { case: "error", value: failureOf(error) });
      throw error;
    }
  }

  /** Sub-actions of a step are named after it, so that a step that ran before doesn't shift later names. */
  inStep(action: string): Scope {
    return new RunningScope(this.#surroundings, this.group, new ActionNames(action), new ActionNames(action));
  }

  #record(
    name: string,
    functionName: string,
    startedAtMs: number,
    result: children.Trace["result"],
  ): Promise<void> {
    const trace = create(children.TraceSchema, {
      name,
      functionName,
      group: this.group,
      startedAt: timestampFromMs(startedAtMs),
      endedAt: timestampFromMs(Date.now()),
      result,
    });
    return this.#surroundings.children.recordTrace(trace);
  }

  #specification(definition: TaskDefinition): Uint8Array {
    let bytes = specifications.get(definition);
    if (bytes === undefined) {
      bytes = toBinary(flyteTask.TaskSpecSchema, specificationOf(definition, this.#surroundings.place));
      specifications.set(definition, bytes);
    }
    return bytes;
  }

  async #deliver(name: string, inputs: Uint8Array) {
    if (inputs.byteLength <= inlineBytesMax) return { case: "inline" as const, value: inputs };
    requireFits("The input of a sub-action", inputs);
    const uri = `${this.#surroundings.runBase.replace(/\/+$/, "")}/${name}/inputs.pb`;
    await this.#surroundings.access.write(uri, inputs);
    return { case: "uri" as const, value: uri };
  }

  async #result(definition: TaskDefinition, update: children.ChildUpdate): Promise<unknown> {
    if (!isSuccess(update.phase)) throw errorOf(update);
    const type = outputType(definition);
    if (type.kind === "none") return undefined;
    return decodeOutputs(type, await this.#outputsOf(update), `output of ${definition.name ?? "task"}`);
  }

  async #outputsOf(update: children.ChildUpdate): Promise<Uint8Array> {
    if (update.result.case === "outputs") return update.result.value;
    if (update.result.case !== "outputsUri") return new Uint8Array();
    const { bucket } = parseObjectUri(`${this.#surroundings.runBase}/x`);
    const { value } = update.result;
    const uri = value.startsWith("s3://") ? value : objectUri(bucket, value);
    const chunks: Uint8Array[] = [];
    for await (const chunk of this.#surroundings.access.read(uri)) chunks.push(chunk);
    return Buffer.concat(chunks);
  }
}

const systemKind = 2;

function errorOf(update: children.ChildUpdate): TaskFailedError {
  const error = update.result.case === "error" ? update.result.value : undefined;
  const failure = {
    code: error?.code ?? "Unknown",
    message: error?.message ?? "The sub-action ended without a result.",
    recoverable: error?.recoverable ?? false,
    kind: error?.kind === systemKind ? ("system" as const) : ("user" as const),
  };
  if (isAbort(update.phase)) return new TaskAbortedError(update.name, failure);
  if (isTimeout(update.phase)) return new TaskTimedOutError(update.name, failure);
  return new TaskFailedError(update.name, failure);
}
