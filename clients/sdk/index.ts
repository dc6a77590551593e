/** Biplane's SDK: tasks, their values, and what their code can ask for. `@biplane/sdk/remote` talks to a cluster. */
export { z } from "zod";
export type { RunTask, WorkerDone, WorkerHost, WorkerStart } from "./host.ts";
// For workers and bundles only.
export { runTask } from "./running/run-task.ts";
export type { Checkpoint } from "./tasks/checkpoint.ts";
export { context, contextIfAny, type TaskContext } from "./tasks/context.ts";
export type { Resources, TaskSettings } from "./tasks/definition.ts";
export { describeTasks } from "./tasks/describe.ts";
export {
  NonRecoverableError,
  TaskAbortedError,
  TaskFailedError,
  type TaskFailure,
  TaskTimedOutError,
  ValidationError,
} from "./tasks/errors.ts";
export { group } from "./tasks/group.ts";
export { type MapOptions, map, mapSettled } from "./tasks/map.ts";
export { registerModule, unnamedTasks } from "./tasks/registry.ts";
export { report } from "./tasks/report.ts";
export { type StepOptions, step } from "./tasks/step.ts";
export { type Environment, environment, isTask, type Task, type TaskOptions, task } from "./tasks/task.ts";
export { bytes, dataFrame, dir, duration, file } from "./types/schemas.ts";
export { type Column, DataFrame, type DataFrameOptions } from "./values/data-frame.ts";
export { Dir } from "./values/dir.ts";
export { Duration } from "./values/duration.ts";
export { File, type FileOptions } from "./values/file.ts";
