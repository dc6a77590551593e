/** The filter language of project lists: `eq(state, 0)+contains(name, x)`. */
import { BiplaneError } from "@biplane/base";
import type { Project } from "@biplane/control-wire";
import { flyte } from "@biplane/data-wire";

type Test = (project: Project) => boolean;

const values: Readonly<Record<string, (project: Project) => string>> = {
  state: (project) =>
    String(project.archived ? flyte.project.ProjectState.ARCHIVED : flyte.project.ProjectState.ACTIVE),
  name: (project) => project.displayName || project.id,
  identifier: (project) => project.id,
  id: (project) => project.id,
};

const functions: Readonly<Record<string, (value: string, wanted: string) => boolean>> = {
  eq: (value, wanted) => value === wanted,
  ne: (value, wanted) => value !== wanted,
  contains: (value, wanted) => value.includes(wanted),
  value_in: (value, wanted) => wanted.split(";").includes(value),
};

export function parseProjectFilters(text: string): Test {
  const tests = text
    .split("+")
    .map((part) => part.trim())
    .filter((part) => part !== "")
    .map(parseOne);
  return (project) => tests.every((test) => test(project));
}

function parseOne(part: string): Test {
  const match = /^(\w+)\(\s*(\w+)\s*,\s*(.*?)\s*\)$/.exec(part);
  const compare = own(functions, match?.[1]);
  const read = own(values, match?.[2]);
  if (match === null || compare === undefined || read === undefined) {
    throw new BiplaneError("invalid_argument", {
      what: `The filter ${JSON.stringify(part.slice(0, 80))} is not understood.`,
      why: `Functions are ${Object.keys(functions).join(", ")}; fields are ${Object.keys(values).join(", ")}.`,
    });
  }
  return (project) => compare(read(project), match[3]!);
}

function own<T>(record: Readonly<Record<string, T>>, name: string | undefined): T | undefined {
  return name !== undefined && Object.hasOwn(record, name) ? record[name] : undefined;
}
