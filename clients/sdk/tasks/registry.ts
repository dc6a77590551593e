/** All tasks of this process, so that a worker finds the one it has to run by its name. */
import { fullName, type TaskDefinition } from "./definition.ts";

const registered: TaskDefinition[] = [];
const key = Symbol.for("biplane.task");

export function register(definition: TaskDefinition): void {
  registered.push(definition);
}

export function unregister(definition: TaskDefinition): void {
  const at = registered.indexOf(definition);
  if (at >= 0) registered.splice(at, 1);
}

/** Gives tasks without a name the name of their export. A bundle ends with this call. */
export function registerModule(module: Readonly<Record<string, unknown>>): void {
  for (const [exportName, value] of Object.entries(module)) {
    if (typeof value !== "function" || !(key in value)) continue;
    const definition = value[key] as TaskDefinition;
    definition.name ??= exportName === "default" ? "main" : exportName;
  }
}

/** Tasks that have a name, the newest definition of each. */
export function registeredTasks(): ReadonlyMap<string, TaskDefinition> {
  const named = registered.filter((definition) => definition.name !== undefined);
  return new Map(named.map((definition) => [fullName(definition), definition]));
}

export function findTask(name: string): TaskDefinition | undefined {
  return registeredTasks().get(name);
}

/** Places of tasks without a name: inside a run, nobody could call them. */
export function unnamedTasks(): readonly string[] {
  return registered
    .filter((definition) => definition.name === undefined)
    .map(({ definedAt }) => {
      const frames = (definedAt.stack ?? "")
        .split("\n")
        .filter((line) => !/[\\/]sdk\.mjs|clients[\\/]sdk/.test(line));
      return (
        frames[1]
          ?.trim()
          .replace(/^at (?:.* \()?/, "")
          .replace(/\)$/, "") ?? "somewhere"
      );
    });
}
