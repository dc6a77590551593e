/** A task as Flyte's `TaskSpec`: everything that a data plane needs to run it. */

import * as flyteCore from "@biplane/data-wire/flyte/core";
import * as flyteTask from "@biplane/data-wire/flyte/task";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { literalTypeOf } from "../types/literal-type.ts";
import { type ObjectField, resolveType } from "../types/value-type.ts";
import { encodeValue } from "../values/encode.ts";
import { fullName, inputFields, type TaskDefinition, type TaskSettings } from "./definition.ts";
import { interfaceOf } from "./interface.ts";

export interface TaskPlace {
  readonly org: string;
  readonly project: string;
  readonly domain: string;
  /** Names the code: equal code has an equal version. */
  readonly version: string;
  readonly bundleUri: string;
}

/** The argument after which a task's name stands in a command line. */
export const taskArgument = "--task";
export const bundleArgument = "--tgz";

export function specificationOf(definition: TaskDefinition, place: TaskPlace): flyteTask.TaskSpec {
  const name = fullName(definition);
  return create(flyteTask.TaskSpecSchema, {
    taskTemplate: {
      id: {
        resourceType: flyteCore.ResourceType.TASK,
        org: place.org,
        project: place.project,
        domain: place.domain,
        name,
        version: place.version,
      },
      type: "typescript",
      taskTypeVersion: 0,
      interface: interfaceOf(definition),
      metadata: metadataOf(definition.settings),
      target: { case: "container", value: containerOf(name, definition.settings, place) },
    },
    defaultInputs: inputFields(definition).map(parameter),
    shortName: definition.name ?? "",
    ...(definition.environment === undefined ? {} : { environment: { name: definition.environment } }),
    ...(definition.description === undefined
      ? {}
      : { documentation: { shortDescription: definition.description } }),
  });
}

function metadataOf(settings: TaskSettings): MessageInitShape<typeof flyteCore.TaskMetadataSchema> {
  return {
    runtime: { type: flyteCore.RuntimeMetadata_RuntimeType.OTHER, version: "0.1.0", flavor: "typescript" },
    retries: { retries: settings.retries ?? 0 },
    generatesDeck: true,
    ...(settings.timeout === undefined ? {} : { timeout: wholeSeconds(settings.timeout.seconds) }),
  };
}

function wholeSeconds(seconds: number): { seconds: bigint; nanos: number } {
  const whole = Math.trunc(seconds);
  return { seconds: BigInt(whole), nanos: Math.round((seconds - whole) * 1e9) };
}

function containerOf(
  name: string,
  settings: TaskSettings,
  place: TaskPlace,
): MessageInitShape<typeof flyteCore.ContainerSchema> {
  return {
    args: commandLine(name, place.bundleUri),
    env: Object.entries(settings.env ?? {}).map(([key, value]) => ({ key, value })),
    resources: resourcesOf(settings),
  };
}

function commandLine(name: string, bundleUri: string): string[] {
  return [
    ...["biplane-worker", bundleArgument, bundleUri, taskArgument, name],
    ...["--inputs", "{{.input}}", "--outputs-path", "{{.outputPrefix}}"],
    ...["--raw-data-path", "{{.rawOutputDataPrefix}}", "--checkpoint-path", "{{.checkpointOutputPrefix}}"],
    ...["--prev-checkpoint", "{{.prevCheckpointPrefix}}", "--run-name", "{{.runName}}"],
    ...["--name", "{{.actionName}}", "--run-start-time", "{{.runStartTime}}"],
  ];
}

function resourcesOf(settings: TaskSettings): MessageInitShape<typeof flyteCore.ResourcesSchema> {
  const { cpu, memory } = settings.resources ?? {};
  const entries = [
    ...(cpu === undefined ? [] : [{ name: flyteCore.Resources_ResourceName.CPU, value: String(cpu) }]),
    ...(memory === undefined ? [] : [{ name: flyteCore.Resources_ResourceName.MEMORY, value: memory }]),
  ];
  return { requests: entries, limits: entries };
}

/** Tells other clients which inputs they may leave out. */
function parameter(field: ObjectField): MessageInitShape<typeof flyteTask.NamedParameterSchema> {
  const variable = { type: literalTypeOf(field.type), description: field.description ?? field.name };
  const isOptional = resolveType(field.type).kind === "optional";
  const fallback = typeof field.defaultValue === "function" ? field.defaultValue() : field.defaultValue;
  if (fallback === undefined && !isOptional) {
    return { name: field.name, parameter: { var: variable, behavior: { case: "required", value: true } } };
  }
  const literal = encodeValue(field.type, fallback, `default of ${field.name}`);
  return { name: field.name, parameter: { var: variable, behavior: { case: "default", value: literal } } };
}
