/** Phases as both wires number them (`biplane.control.v1.Phase`, `flyteidl2.common.ActionPhase`). */
const succeeded = 5;
const aborted = 7;
const timedOut = 8;
const recovered = 10;
const terminal: ReadonlySet<number> = new Set([succeeded, 6, aborted, timedOut, recovered]);

export function isTerminal(phase: number): boolean {
  return terminal.has(phase);
}

export function isSuccess(phase: number): boolean {
  return phase === succeeded || phase === recovered;
}

export function isAbort(phase: number): boolean {
  return phase === aborted;
}

export function isTimeout(phase: number): boolean {
  return phase === timedOut;
}
