/** References that the control plane sends, parsed; undefined where they name nothing that could exist here. */
import {
  isBiplaneError,
  parseDomainId,
  parseOrgId,
  parseProjectId,
  parseRunName,
  type RunId,
} from "@biplane/base";
import type { RunRef } from "@biplane/control-wire";

export function parseRunRef(ref: RunRef | undefined): RunId | undefined {
  if (ref === undefined) return undefined;
  try {
    return {
      org: parseOrgId(ref.org),
      project: parseProjectId(ref.project),
      domain: parseDomainId(ref.domain),
      run: parseRunName(ref.name),
    };
  } catch (error) {
    if (isBiplaneError(error, "invalid_argument")) return undefined;
    throw error;
  }
}
