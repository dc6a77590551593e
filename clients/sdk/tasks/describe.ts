/** The tasks of a loaded bundle as bytes, so that a client with another copy of this SDK can read them. Internal. */

import { flyte } from "@biplane/data-wire";
import { toBinary } from "@bufbuild/protobuf";
import { registeredTasks } from "./registry.ts";
import { specificationOf, type TaskPlace } from "./specification.ts";

export interface TaskDescription {
  readonly name: string;
  /** `flyteidl2.task.TaskSpec` in bytes. */
  readonly spec: Uint8Array;
}

export function describeTasks(place: TaskPlace): readonly TaskDescription[] {
  return [...registeredTasks()].map(([name, definition]) => ({
    name,
    spec: toBinary(flyte.task.TaskSpecSchema, specificationOf(definition, place)),
  }));
}
