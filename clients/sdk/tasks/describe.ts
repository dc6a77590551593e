/** The exported tasks of a module as bytes, so that a client with another copy of this SDK can read them. Internal. */

import * as flyteTask from "@biplane/data-wire/flyte/task";
import { toBinary } from "@bufbuild/protobuf";
import { fullName, type TaskDefinition } from "./definition.ts";
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
  const named = new Map<string, { exportName: string; definition: TaskDefinition }>();
  return Object.entries(module).flatMap(([exportName, value]) => {
    if (!isTask(value)) return [];
    const definition = definitionOf(value);
    const name = fullName(definition);
    const other = named.get(name);
    // A worker finds a task by its name: it would run one of them for the other.
    if (other !== undefined && other.definition !== definition)
      throw new TypeError(`The tasks ${other.exportName} and ${exportName} are both named ${name}.`);
    named.set(name, { exportName, definition });
    return [{ name, exportName, spec: specOf(exportName, definition, place) }];
  });
}

function specOf(exportName: string, definition: TaskDefinition, place: TaskPlace): Uint8Array {
  try {
    return toBinary(flyteTask.TaskSpecSchema, specificationOf(definition, place));
  } catch (cause) {
    if (!(cause instanceof TypeError)) throw cause;
    throw new TypeError(`Task ${exportName}: ${cause.message}`, { cause });
  }
}
