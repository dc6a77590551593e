/** Who and where the running code is. */

import { currentScope } from "../running/scope.ts";
import type { Checkpoint } from "./checkpoint.ts";

export interface TaskContext {
  readonly org: string;
  readonly project: string;
  readonly domain: string;
  readonly run: string;
  readonly action: string;
  /** From 1. */
  readonly attempt: number;
  readonly task: string;
  /** When the run was started: the same on every attempt. */
  readonly runStartTime: Date;
  /** What an attempt leaves for the next one. */
  readonly checkpoint: Checkpoint;
  /** Aborts when the attempt should end; it is killed a little later. */
  readonly cancelled: AbortSignal;
}

/** The context of the running task; throws outside of one. */
export function context(): TaskContext {
  const scope = currentScope();
  if (scope !== undefined) return scope.context;
  throw new Error("There is no task here: context() works inside a task that runs on a cluster.");
}

/** The context, or undefined outside of a running task. */
export function contextIfAny(): TaskContext | undefined {
  return currentScope()?.context;
}
