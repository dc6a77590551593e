/** One sub-action for each input. */
import { concurrently } from "./concurrently.ts";
import { group } from "./group.ts";
import { definitionOf, type Task } from "./task.ts";

/** Sub-actions that one map keeps open at most: more only fill this process's memory, the queue is full long before. */
const openMax = 5_000;

export interface MapOptions {
  /** Sub-actions open at the same time; 5,000 by default and at most. */
  readonly concurrency?: number;
  /** Shown name; the task's name by default. */
  readonly group?: string;
}

/** Results in the inputs' order. The first failure is thrown, and no further sub-action is started. */
export function map<Input, Output>(
  task: Task<Input, Output>,
  inputs: Iterable<Input>,
  options: MapOptions = {},
): Promise<Output[]> {
  const call = task as unknown as (input: Input) => Promise<Output>;
  return inGroup(task, options, (concurrency) =>
    concurrently([...inputs], concurrency, (input) => call(input)),
  );
}

/** Like `map`, but a failure is a result too: `{status: "rejected", reason}`. */
export function mapSettled<Input, Output>(
  task: Task<Input, Output>,
  inputs: Iterable<Input>,
  options: MapOptions = {},
): Promise<PromiseSettledResult<Output>[]> {
  const call = task as unknown as (input: Input) => Promise<Output>;
  return inGroup(task, options, (concurrency) =>
    concurrently([...inputs], concurrency, async (input) => (await Promise.allSettled([call(input)]))[0]),
  );
}

function inGroup<T>(
  task: Task<never, unknown>,
  options: MapOptions,
  work: (concurrency: number) => Promise<T>,
): Promise<T> {
  const name = options.group ?? definitionOf(task).name ?? "map";
  return group(name, () => work(Math.min(options.concurrency ?? openMax, openMax)));
}
