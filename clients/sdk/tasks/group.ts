import { currentScope, runInScope } from "../running/scope.ts";

/** Sub-actions that `work` starts are shown together under a name. Outside of a running task it only runs `work`. */
export function group<T>(name: string, work: () => T): T {
  const scope = currentScope();
  return scope === undefined ? work() : runInScope(scope.inGroup(name), work);
}
