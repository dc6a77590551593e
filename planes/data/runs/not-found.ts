/** Another organization's, a pending and an unknown run all look alike: there is none. */
import { type ActionId, BiplaneError, type RunId, type TaskId } from "@biplane/base";

export function runNotFound(id: RunId): BiplaneError {
  return new BiplaneError("not_found", {
    what: `There is no run ${id.run} in project ${id.project}, domain ${id.domain}.`,
    next: `List them: biplane get run --project ${id.project} --domain ${id.domain}`,
  });
}

export function actionNotFound(id: ActionId): BiplaneError {
  return new BiplaneError("not_found", {
    what: `The run ${id.run} has no action ${id.action}.`,
    next: `List them: biplane get action ${id.run} --project ${id.project} --domain ${id.domain}`,
  });
}

export function taskNotFound(id: TaskId): BiplaneError {
  return new BiplaneError("not_found", {
    what: `There is no task ${id.name} of version ${id.version} in project ${id.project}, domain ${id.domain}.`,
    next: `List them: biplane get task --project ${id.project} --domain ${id.domain}`,
  });
}
