/** Records what becomes of runs and attempts (claim AUD-2), after it is on disk: by codes, without anybody's text. */
import { Lifecycle } from "@biplane/audit";
import { type Event, type IntentOutcome, IntentOutcome as outcomes, Phase } from "@biplane/control-wire";
import { type AuditLog, eventOf } from "@biplane/kit/audit-log";
import type { Logger } from "@biplane/kit/logging";
import type { IntentHandler } from "../runs/types.ts";

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

/** What the control plane asked for, and whether it was taken, is on record before it is answered. */
export function auditedIntents(intents: IntentHandler, audit: Pick<AuditLog, "record">): IntentHandler {
  return {
    acceptIntent: async (intent) => {
      const outcome = await intents.acceptIntent(intent);
      const isAccepted = outcome === outcomes.ACCEPTED;
      const { project = "", domain = "", name = "" } = intent.run ?? {};
      await audit.record(
        eventOf(isAccepted ? "INTENT_ACCEPTED" : "INTENT_REFUSED", {
          decision: isAccepted ? "allowed" : "refused",
          subject: intent.createdBy,
          method: "biplane.control.v1.LinkService/Connect",
          project,
          domain,
          run: name,
          count: Number(intent.fence),
          ...(isAccepted ? {} : { reason: reasonOf(outcome) }),
        }),
      );
      return outcome;
    },
  };
}

function reasonOf(outcome: IntentOutcome): string {
  return (outcomes[outcome] ?? "unknown").toLowerCase();
}
