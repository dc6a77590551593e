/** In whose name something is done: a task acts for whoever submitted its run. */
import type { Principal } from "../identity/types.ts";

export function actingSubject(principal: Principal): string {
  return principal.actingFor ?? principal.subject;
}
