/** Deployed tasks as Flyte's messages. */
import { flyte } from "@biplane/data-wire";
import { create, fromBinary } from "@bufbuild/protobuf";
import type { DeployedTask } from "../../runs/types.ts";
import type { NameOf } from "../subject-names.ts";
import { timestamp } from "./times.ts";

export function taskMessage(task: DeployedTask, nameOf: NameOf): flyte.task.Task {
  return create(flyte.task.TaskSchema, { taskId: identifier(task), metadata: metadata(task, nameOf) });
}

export function taskDetails(task: DeployedTask, nameOf: NameOf): flyte.task.TaskDetails {
  return create(flyte.task.TaskDetailsSchema, {
    taskId: identifier(task),
    metadata: metadata(task, nameOf),
    spec: fromBinary(flyte.task.TaskSpecSchema, task.spec),
  });
}

function identifier(task: DeployedTask) {
  return {
    org: task.org,
    project: task.project,
    domain: task.domain,
    name: task.name,
    version: task.version,
  };
}

function metadata(task: DeployedTask, nameOf: NameOf) {
  return {
    deployedBy: nameOf(task.deployedBy),
    deployedAt: timestamp(task.deployedAtMs),
    shortName: task.shortName,
    environmentName: task.environmentName,
  };
}
