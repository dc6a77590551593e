/** How the identity authority writes its audit records. */
import type { IncomingMessage } from "node:http";
import type { AuditCode, AuditDecision } from "@biplane/audit";
import type { OrgId } from "@biplane/base";
import type { AuditLog, RefusalRecorder } from "@biplane/kit/audit-log";
import type { Clock } from "@biplane/kit/clock";

export type IdentityAudit = (
  code: AuditCode,
  decision: AuditDecision,
  details: { readonly subject?: string; readonly reason?: string },
  request: IncomingMessage,
) => Promise<void>;

export function createIdentityAudit(
  log: Pick<AuditLog, "record">,
  /** For what is refused: strangers can't fill the log, also not under the name of a client that they merely know. */
  refusals: Pick<RefusalRecorder, "record">,
  org: OrgId,
  addressFrom: "edge" | "peer",
  clock: Clock,
): IdentityAudit {
  return (code, decision, details, request) => {
    const subject = details.subject ?? "";
    const recorder = decision === "allowed" ? log : refusals;
    return recorder.record({
      atMs: clock.now(),
      code,
      decision,
      subject,
      // The path alone: queries carry codes and states.
      method: `${request.method} ${(request.url ?? "").split("?")[0]!.slice(0, 100)}`,
      org,
      requestId: "",
      address: request.socket.remoteAddress ?? "",
      addressFrom,
      ...(details.reason === undefined ? {} : { reason: details.reason }),
    });
  };
}
