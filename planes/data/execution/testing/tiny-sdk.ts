/**
 * As much of the SDK as the executor's tests need: the task is the export of the bundle that `--task` names; it gets
 * its start and host, and what it returns is its outputs' bytes.
 */
import { flyte, worker } from "@biplane/data-wire";
import type { RunTask, WorkerHost, WorkerStart } from "@biplane/sdk/host";
import { create, fromBinary } from "@bufbuild/protobuf";

type Task = (start: WorkerStart, host: WorkerHost) => Promise<string | undefined>;

export const runTask: RunTask = async (start, host, bundle) => {
  const target = fromBinary(flyte.task.TaskSpecSchema, start.taskSpec).taskTemplate?.target;
  const argv = target?.case === "container" ? target.value.args : [];
  const task = bundle[argv[argv.indexOf("--task") + 1] ?? ""] as Task;
  try {
    const outputs = Buffer.from((await task(start, host)) ?? "");
    return create(worker.DoneSchema, { result: { case: "outputs", value: outputs } });
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    const value = { code: "TaskError", message, recoverable: true, kind: 1 };
    return create(worker.DoneSchema, { result: { case: "error", value } });
  }
};
