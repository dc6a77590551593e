/** The HTTP status with which the authority's own pages refuse. */
import type { BiplaneError } from "@biplane/base";

export function refusalStatus({ code, reason }: BiplaneError): number {
  if (reason === "request_too_large") return 413;
  if (code === "permission_denied") return 403;
  return code === "resource_exhausted" ? 429 : 400;
}
