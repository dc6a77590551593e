/** Records what becomes of runs and attempts (claim AUD-2), after it is on disk: by codes, without anybody's text. */
import { Lifecycle } from "@biplane/audit";
import { type Event, Phase } from "@biplane/control-wire";
import { type AuditLog, eventOf } from "@biplane/kit/audit-log";
import type { Logger } from "@biplane/kit/logging";

type Recorder = Pick<AuditLog, "recordAll">;

export function createLifecycleAudit(audit: Recorder, log: Logger): (events: readonly Event[]) => void {
  const lifecycle = new Lifecycle((phase) => Phase[phase] ?? "");
  return (events) => {
    const records = lifecycle.eventsOf(events.map(({ change }) => change));
    if (records.length === 0) return;
    audit.recordAll(records.map(({ code, ...details }) => eventOf(code, details))).catch((error: unknown) => {
      log.error({ event: "audit_failed", error }, "what became of a run could not be recorded");
    });
  };
}
