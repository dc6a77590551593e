/** What a task is, once its options and its environment's are put together. */
import type { StandardSchemaV1 } from "@standard-schema/spec";
import { typeOfSchema } from "../types/from-schema.ts";
import { type ObjectField, resolveType, type ValueType } from "../types/value-type.ts";
import type { Duration } from "../values/duration.ts";

export interface Resources {
  /** Cores: `2`, or `"500m"` for half a core. */
  readonly cpu?: number | string;
  /** `"512Mi"`, `"2Gi"`. */
  readonly memory?: string;
}

export interface TaskSettings {
  /** More attempts after a failed one; 0 by default, 10 at most. */
  readonly retries?: number;
  /** Longest time of one attempt. */
  readonly timeout?: Duration;
  readonly resources?: Resources;
  /** Environment variables. Not for secrets: they are kept with the task. */
  readonly env?: Readonly<Record<string, string>>;
}

export interface TaskDefinition {
  /** Undefined until the module that exports the task gives it its export's name. */
  name: string | undefined;
  readonly environment: string | undefined;
  readonly settings: TaskSettings;
  readonly description: string | undefined;
  readonly inputSchema: StandardSchemaV1 | undefined;
  readonly outputSchema: StandardSchemaV1 | undefined;
  readonly run: (input: never) => unknown;
  /** Remembers where the task was defined, for people who forgot to export it. */
  readonly definedAt: Error;
}

/** Name of the one variable of a task whose input is no object. */
export const wholeInput = "input";

interface Types {
  readonly fields: readonly ObjectField[];
  readonly takesWholeInput: boolean;
  readonly output: ValueType;
}

/** Schemas are read once: a fan-out calls the same task thousands of times. */
const knownTypes = new WeakMap<TaskDefinition, Types>();

function typesOf(definition: TaskDefinition): Types {
  let types = knownTypes.get(definition);
  if (types === undefined) {
    types = readTypes(definition);
    knownTypes.set(definition, types);
  }
  return types;
}

function readTypes(definition: TaskDefinition): Types {
  const output = typeOfSchema(definition.outputSchema, "Output");
  if (definition.inputSchema === undefined) return { fields: [], takesWholeInput: true, output };
  const type = resolveType(typeOfSchema(definition.inputSchema, "Input"));
  if (type.kind === "object") return { fields: type.fields, takesWholeInput: false, output };
  const field = { name: wholeInput, type, description: undefined, defaultValue: undefined };
  return { fields: [field], takesWholeInput: true, output };
}

/** Input variables of a definition: an object's fields, or `input` for anything else. */
export function inputFields(definition: TaskDefinition): readonly ObjectField[] {
  return typesOf(definition).fields;
}

export function takesWholeInput(definition: TaskDefinition): boolean {
  return typesOf(definition).takesWholeInput;
}

export function outputType(definition: TaskDefinition): ValueType {
  return typesOf(definition).output;
}

/** The name under which an export is found: `environment.task`. */
export function fullName(definition: TaskDefinition): string {
  if (definition.name === undefined) {
    throw new TypeError("A task has no name: export it from the module that runs, or give it `name`.");
  }
  return definition.environment === undefined
    ? definition.name
    : `${definition.environment}.${definition.name}`;
}
