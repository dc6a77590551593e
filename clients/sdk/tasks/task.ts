/**
 * How people write tasks. A task is an ordinary async function with a definition beside it: called inside a running
 * task it becomes a sub-action, called anywhere else it simply runs.
 */
import type { StandardSchemaV1 } from "@standard-schema/spec";
import { currentScope } from "../running/scope.ts";
import type { TaskDefinition, TaskSettings } from "./definition.ts";
import { register } from "./registry.ts";
import { validate } from "./validate.ts";

type Schema = StandardSchemaV1;
type InputOf<S extends Schema | undefined> = S extends Schema ? StandardSchemaV1.InferInput<S> : undefined;
type ParsedOf<S extends Schema | undefined> = S extends Schema ? StandardSchemaV1.InferOutput<S> : undefined;
type ReturnedBy<S extends Schema | undefined> = S extends Schema
  ? StandardSchemaV1.InferInput<S>
  : // biome-ignore lint/suspicious/noConfusingVoidType: a task without output may return nothing at all.
    undefined | void;
/** No argument where there is no input, or where every field of it has a default. */
type Arguments<Input> = undefined extends Input
  ? [input?: Input]
  : Record<never, never> extends Input
    ? [input?: Input]
    : [input: Input];

export interface TaskOptions<I extends Schema | undefined, O extends Schema | undefined>
  extends TaskSettings {
  /** The name of the export by default. */
  readonly name?: string;
  readonly description?: string;
  readonly input?: I;
  readonly output?: O;
}

export const definitionKey: unique symbol = Symbol.for("biplane.task") as never;

/** Callable; `Input` is what callers give, `Output` what they get. */
export interface Task<Input = never, Output = unknown> {
  (...input: Arguments<Input>): Promise<Output>;
  readonly [definitionKey]: TaskDefinition;
}
type TaskFunction<I extends Schema | undefined, O extends Schema | undefined> = (
  input: ParsedOf<I>,
) => ReturnedBy<O> | Promise<ReturnedBy<O>>;

/** Defines a task. `name` and other options are optional; without schemas there is no input, or no output. */
export function task<
  const I extends Schema | undefined = undefined,
  const O extends Schema | undefined = undefined,
>(options: TaskOptions<I, O>, run: TaskFunction<I, O>): Task<InputOf<I>, ParsedOf<O>> {
  return define(undefined, {}, options, run);
}

export interface Environment {
  readonly name: string;
  readonly task: typeof task;
}

/** Tasks that share settings and the first part of their names. */
export function environment(name: string, settings: TaskSettings = {}): Environment {
  return { name, task: (options, run) => define(name, settings, options, run) };
}

function define<I extends Schema | undefined, O extends Schema | undefined>(
  environmentName: string | undefined,
  shared: TaskSettings,
  options: TaskOptions<I, O>,
  run: TaskFunction<I, O>,
): Task<InputOf<I>, ParsedOf<O>> {
  const definition: TaskDefinition = {
    name: options.name,
    environment: environmentName,
    settings: { ...shared, ...settingsOf(options), env: { ...shared.env, ...options.env } },
    description: options.description,
    inputSchema: options.input,
    outputSchema: options.output,
    run: run as TaskDefinition["run"],
    definedAt: new Error("defined here"),
  };
  const call = (input?: unknown) => callTask(definition, input);
  const defined = Object.assign(call, { [definitionKey]: definition }) as unknown as Task<
    InputOf<I>,
    ParsedOf<O>
  >;
  register(definition);
  return defined;
}

function settingsOf(options: TaskSettings): TaskSettings {
  const { retries, timeout, resources } = options;
  const given = Object.entries({ retries, timeout, resources });
  return Object.fromEntries(given.filter(([, value]) => value !== undefined));
}

/** A sub-action inside a running task, a plain call anywhere else; checked at both ends either way. */
async function callTask(definition: TaskDefinition, input: unknown): Promise<unknown> {
  const label = definition.name ?? "task";
  const given = input === undefined && definition.inputSchema !== undefined ? {} : input;
  const parsed = await validate(definition.inputSchema, given, `input of ${label}`);
  const scope = currentScope();
  if (scope !== undefined) return scope.callChild(definition, parsed);
  const output = await definition.run(parsed as never);
  return validate(definition.outputSchema, output, `output of ${label}`);
}

export function definitionOf(value: Task): TaskDefinition {
  return value[definitionKey];
}

export function isTask(value: unknown): value is Task {
  return typeof value === "function" && definitionKey in value;
}
