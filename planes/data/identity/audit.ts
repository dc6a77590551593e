/** How the identity authority writes its audit records. */
import type { IncomingMessage } from "node:http";
import type { AuditCode, AuditDecision } from "@biplane/audit";
import type { OrgId } from "@biplane/base";
import type { AuditLog } from "@biplane/kit/audit-log";
import type { Clock } from "@biplane/kit/clock";

export type IdentityAudit = (
  code: AuditCode,
  decision: AuditDecision,
  details: { readonly subject?: string; readonly reason?: string },
  request: IncomingMessage,
) => Promise<void>;

export function createIdentityAudit(
  log: Pick<AuditLog, "record">,
  org: OrgId,
  addressFrom: "edge" | "peer",
  clock: Clock,
): IdentityAudit {
  return (code, decision, details, request) =>
    log.record({
      atMs: clock.now(),
      code,
      decision,
      subject: details.subject ?? "",
      // The path alone: queries carry codes and states.
      method: `${request.method} ${(request.url ?? "").split("?")[0]!.slice(0, 100)}`,
      org,
      requestId: "",
      address: request.socket.remoteAddress ?? "",
      addressFrom,
      ...(details.reason === undefined ? {} : { reason: details.reason }),
    });
}
