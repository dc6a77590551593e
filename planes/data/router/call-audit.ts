/** One audit record for each request, whatever became of it. */
import type { AuditDecision, AuditRecord } from "@biplane/audit";
import { isBiplaneError } from "@biplane/base";
import type { Decision } from "@biplane/identity";
import type { AuditLog, RefusalRecorder } from "@biplane/kit/audit-log";
import type { Clock } from "@biplane/kit/clock";
import type { Call } from "./call.ts";
import type { SeenRequest } from "./gate.ts";

export interface CallAudit {
  /** Resolves once on disk. */
  decided(call: Call, decision: Decision): Promise<void>;
  /** For requests that ended before there was a decision. */
  refused(seen: SeenRequest | Call, error: unknown): Promise<void>;
}

export function createCallAudit(
  log: Pick<AuditLog, "record">,
  refusals: Pick<RefusalRecorder, "record">,
  publicAddressFrom: "edge" | "peer",
  clock: Clock,
): CallAudit {
  return {
    // Whoever is known is recorded each time; strangers can't fill the log, not by what everybody may ask either.
    decided: (call, decision) =>
      (call.principal === undefined ? refusals : log).record({
        ...base(call),
        code: call.row.audit,
        ...(decision.kind === "stale"
          ? { decision: "refused", reason: "policy_stale" }
          : { decision: decision.kind }),
        subject: call.principal?.subject ?? "",
        ...actingFor(call, decision),
        ...resourceFields(call),
        ...reasonOf(decision),
      }),
    refused: (seen, error) => {
      const recorder = "principal" in seen && seen.principal !== undefined ? log : refusals;
      return recorder.record({
        ...base(seen),
        code: "row" in seen ? seen.row.audit : "REQUEST_REFUSED",
        decision: refusalOf(error),
        subject: "principal" in seen ? (seen.principal?.subject ?? "") : "",
        ...(isBiplaneError(error) ? { reason: error.reason ?? error.code } : { reason: "internal" }),
      });
    },
  };

  function base(
    seen: SeenRequest,
  ): Pick<AuditRecord, "atMs" | "method" | "org" | "requestId" | "address" | "addressFrom"> {
    return {
      atMs: clock.now(),
      method: seen.method,
      org: seen.org,
      requestId: seen.requestId,
      address: seen.address,
      addressFrom: seen.entrance.kind === "sandbox" ? "sandbox" : publicAddressFrom,
    };
  }
}

/** In whose name a task asked; what is its own it does in nobody's. */
function actingFor({ principal }: Call, decision: Decision): Pick<AuditRecord, "actingFor"> {
  const isOwn = decision.kind === "allowed" && !decision.delegated;
  return isOwn || principal?.actingFor === undefined ? {} : { actingFor: principal.actingFor };
}

function reasonOf(decision: Decision): Pick<AuditRecord, "reason"> {
  if (decision.kind === "allowed") return {};
  return { reason: decision.kind === "hidden" ? "other_organization" : "no_role" };
}

function refusalOf(error: unknown): AuditDecision {
  if (isBiplaneError(error, "unauthenticated")) return "unauthenticated";
  return isBiplaneError(error, "permission_denied") ? "denied" : "refused";
}

function resourceFields(call: Call): Pick<AuditRecord, "project" | "domain" | "run" | "action"> {
  const { project, domain, run, action } = call.resource ?? {};
  return {
    ...(project === undefined ? {} : { project }),
    ...(domain === undefined ? {} : { domain }),
    ...(run === undefined ? {} : { run }),
    ...(action === undefined ? {} : { action }),
  };
}
