/** What the code of a running task may ask for, found through its asynchronous context. Undefined: nothing runs here. */
import { AsyncLocalStorage } from "node:async_hooks";
import type { TaskContext } from "../tasks/context.ts";
import type { TaskDefinition } from "../tasks/definition.ts";

export interface Scope {
  readonly context: TaskContext;
  readonly group: string;
  callChild(definition: TaskDefinition, input: unknown): Promise<unknown>;
  runStep(name: string, work: () => unknown, options: StepRecording): Promise<unknown>;
  setReport(html: string): void;
  /** The same scope whose sub-actions belong to a group. */
  inGroup(name: string): Scope;
}

/** How a step's result is kept. */
export interface StepRecording {
  encode(value: unknown): Uint8Array;
  decode(outputs: Uint8Array): unknown;
}

const current = new AsyncLocalStorage<Scope>();

export function currentScope(): Scope | undefined {
  return current.getStore();
}

export function runInScope<T>(scope: Scope, work: () => T): T {
  return current.run(scope, work);
}
