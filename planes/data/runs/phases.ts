/** Which phases end an action. */
import { Phase } from "@biplane/control-wire";

const terminal: ReadonlySet<Phase> = new Set([
  Phase.SUCCEEDED,
  Phase.FAILED,
  Phase.ABORTED,
  Phase.TIMED_OUT,
  Phase.RECOVERED,
]);

/** Terminal states never change (rule of state 6). */
export function isTerminal(phase: Phase): boolean {
  return terminal.has(phase);
}

export function isSuccess(phase: Phase): boolean {
  return phase === Phase.SUCCEEDED || phase === Phase.RECOVERED;
}
