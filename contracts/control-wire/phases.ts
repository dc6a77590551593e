import { Phase } from "./gen/biplane/control/v1/types_pb.ts";

/** Phases that never change again (rule of state 6). */
export const terminalPhases: readonly Phase[] = [
  Phase.SUCCEEDED,
  Phase.FAILED,
  Phase.ABORTED,
  Phase.TIMED_OUT,
  Phase.RECOVERED,
];

const terminal: ReadonlySet<Phase> = new Set(terminalPhases);

export function isTerminal(phase: Phase): boolean {
  return terminal.has(phase);
}
