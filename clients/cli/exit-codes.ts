/** How a command ends, for scripts. Documented in `biplane --help` and in the README. */
import type { ErrorCode } from "@biplane/base";

export const exitCodes = {
  ok: 0,
  /** A defect, or something nobody foresaw. */
  unexpected: 1,
  /** The command line or an input is wrong. */
  usage: 2,
  notFound: 3,
  /** Not signed in, or not allowed. */
  denied: 4,
  /** A plane can't be reached, or is at its limits: try again later. */
  unavailable: 5,
  /** The run ended, but not well. */
  runFailed: 6,
  /** Exists already, or the state of things does not allow it. */
  conflict: 7,
  interrupted: 130,
} as const;

export const exitCodesHelp = `Exit codes: 0 done, 1 unexpected, 2 wrong usage, 3 not found, 4 not signed in or not allowed,
5 unavailable (try again), 6 the run did not succeed, 7 conflict, 130 interrupted.`;

const byErrorCode: Readonly<Record<ErrorCode, number>> = {
  invalid_argument: exitCodes.usage,
  out_of_range: exitCodes.usage,
  not_found: exitCodes.notFound,
  unauthenticated: exitCodes.denied,
  permission_denied: exitCodes.denied,
  unavailable: exitCodes.unavailable,
  resource_exhausted: exitCodes.unavailable,
  deadline_exceeded: exitCodes.unavailable,
  already_exists: exitCodes.conflict,
  failed_precondition: exitCodes.conflict,
  aborted: exitCodes.conflict,
  canceled: exitCodes.interrupted,
  data_loss: exitCodes.unexpected,
  internal: exitCodes.unexpected,
  unimplemented: exitCodes.unexpected,
  unknown: exitCodes.unexpected,
};

export function exitCodeOf(code: ErrorCode): number {
  return byErrorCode[code];
}
