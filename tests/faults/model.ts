/** What must be true of a run however often processes died while it ran (rules of state 6, 7, 8; claims AVL-1, AVL-2). */
import { flyte } from "@biplane/data-wire";
import type { ActionRecord, AttemptRecord } from "../e2e/run-records.ts";

const succeeded: number = flyte.common.ActionPhase.SUCCEEDED;

/** Every sentence that does not hold; an empty list is the goal. `width` sub-actions were asked for. */
export function violations(actions: readonly ActionRecord[], width: number): string[] {
  return [
    ...counts(actions, width),
    ...actions.flatMap((action) => [...oneResult(action), ...order(action)]),
    ...parentsFirst(actions),
  ];
}

function counts(actions: readonly ActionRecord[], width: number): string[] {
  const names = new Set(actions.map(({ name }) => name));
  return [
    ...(actions.length === width + 1 ? [] : [`there are ${actions.length} actions instead of ${width + 1}`]),
    ...(names.size === actions.length ? [] : ["an action is listed twice"]),
  ];
}

/** No action without a result, none with two: only the last attempt succeeded. */
function oneResult({ name, phase, attempts }: ActionRecord): string[] {
  const results = attempts.filter((attempt) => attempt.phase === succeeded);
  const problems: string[] = [];
  if (phase !== succeeded) problems.push(`${name} ended in phase ${phase}`);
  if (results.length !== 1) problems.push(`${name} has ${results.length} successful attempts`);
  if (attempts.at(-1)?.phase !== succeeded) problems.push(`${name} was attempted again after its success`);
  return problems;
}

/** Attempts are numbered without gaps and follow each other in time. */
function order({ name, attempts }: ActionRecord): string[] {
  return attempts.flatMap((attempt, index) => {
    const problems: string[] = [];
    if (attempt.attempt !== index + 1) problems.push(`${name} lacks attempt ${index + 1}`);
    if (attempt.startedMs === undefined || attempt.endedMs === undefined)
      problems.push(`${timeless(name, attempt)}`);
    else if (attempt.startedMs > attempt.endedMs)
      problems.push(`${name} attempt ${attempt.attempt} ended before it began`);
    const before = attempts[index - 1]?.endedMs;
    if (before !== undefined && (attempt.startedMs ?? before) < before) {
      problems.push(`${name} attempt ${attempt.attempt} began before the one before it ended`);
    }
    return problems;
  });
}

function timeless(name: string, { attempt, phase }: AttemptRecord): string {
  return `${name} attempt ${attempt} in phase ${phase} lacks a time`;
}

function parentsFirst(actions: readonly ActionRecord[]): string[] {
  const byName = new Map(actions.map((action) => [action.name, action]));
  return actions.flatMap(({ name, parent, attempts }) => {
    if (parent === "") return [];
    const parentStart = byName.get(parent)?.attempts[0]?.startedMs;
    const start = attempts[0]?.startedMs;
    if (parentStart === undefined || start === undefined) return [`${name} or its parent never began`];
    return start >= parentStart ? [] : [`${name} began before its parent ${parent}`];
  });
}
