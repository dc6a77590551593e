/** Flyte's identifiers to ours and back. Names are checked here, once; the organization is the caller's own. */
import {
  type ActionId,
  type AttemptId,
  BiplaneError,
  defaultDomains,
  type OrgId,
  type ProjectDomain,
  parseActionName,
  parseDomainId,
  parseProjectId,
  parseRunName,
  parseTaskName,
  parseTaskVersion,
  type RunId,
  type TaskId,
} from "@biplane/base";
import type { RunRef } from "@biplane/control-wire";
import type { flyte } from "@biplane/data-wire";

export function projectDomainOf(
  org: OrgId,
  names: { readonly project: string; readonly domain: string },
): ProjectDomain {
  return { org, project: parseProjectId(names.project), domain: parseDomainId(names.domain) };
}

/** For whatever is made there: a mistyped domain would hide it from whoever lists the right one. */
export function requireKnownDomain({ project, domain }: ProjectDomain): void {
  if (defaultDomains.includes(domain)) return;
  throw new BiplaneError("not_found", {
    what: `Project ${project} has no domain ${domain}.`,
    next: `Use one of ${defaultDomains.join(", ")}.`,
  });
}

export function runIdOf(
  org: OrgId,
  run: Pick<flyte.common.RunIdentifier | RunRef, "project" | "domain" | "name"> | undefined,
): RunId {
  if (run === undefined) throw missing("run");
  return { ...projectDomainOf(org, run), run: parseRunName(run.name) };
}

export function actionIdOf(org: OrgId, action: flyte.common.ActionIdentifier | undefined): ActionId {
  if (action === undefined) throw missing("action");
  return { ...runIdOf(org, action.run), action: parseActionName(action.name) };
}

export function taskIdOf(org: OrgId, task: flyte.task.TaskIdentifier | undefined): TaskId {
  if (task === undefined) throw missing("task");
  return {
    ...projectDomainOf(org, task),
    name: parseTaskName(task.name),
    version: parseTaskVersion(task.version),
  };
}

export function runIdentifier(id: RunId) {
  return { org: id.org, project: id.project, domain: id.domain, name: id.run };
}

export function actionIdentifier(id: ActionId) {
  return { run: runIdentifier(id), name: id.action };
}

export function attemptOf(id: ActionId, attempt: number): AttemptId {
  return { ...id, attempt };
}

/** An action without the fields that only records have. */
export function bareActionId(id: ActionId): ActionId {
  const { org, project, domain, run, action } = id;
  return { org, project, domain, run, action };
}

function missing(what: string): BiplaneError {
  return new BiplaneError("invalid_argument", `The request does not name its ${what}.`);
}
