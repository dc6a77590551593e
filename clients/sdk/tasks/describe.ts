/** The exported tasks of a module as bytes, so that a client with another copy of this SDK can read them. Internal. */

import * as flyteTask from "@biplane/data-wire/flyte/task";
import { toBinary } from "@bufbuild/protobuf";
import { fullName } from "./definition.ts";
import { specificationOf, type TaskPlace } from "./specification.ts";
import { definitionOf, isTask } from "./task.ts";

export interface TaskDescription {
  /** `environment.task`. */
  readonly name: string;
  readonly exportName: string;
  /** `flyteidl2.task.TaskSpec` in bytes. */
  readonly spec: Uint8Array;
}

export function describeTasks(
  module: Readonly<Record<string, unknown>>,
  place: TaskPlace,
): readonly TaskDescription[] {
  return Object.entries(module).flatMap(([exportName, value]) => {
    if (!isTask(value)) return [];
    const definition = definitionOf(value);
    const spec = toBinary(flyteTask.TaskSpecSchema, specificationOf(definition, place));
    return [{ name: fullName(definition), exportName, spec }];
  });
}
