/** The one decision point: decides a call by the policy, records the decision, and lets only allowed ones pass. */
import { type Decision, requireAllowed } from "@biplane/identity";
import { decide } from "@biplane/identity/decide";
import type { CurrentPolicy, WatchedPolicy } from "../policy/policy.ts";
import type { Call } from "./call.ts";
import type { CallAudit } from "./call-audit.ts";

export interface DecisionParts {
  readonly policy: WatchedPolicy;
  readonly audit: CallAudit;
}

/**
 * Returns once the call may go on. What changes something, and every refusal, is on record by then, but for what checks
 * first; any other record is awaited by `recorded` before its answer leaves.
 */
export async function authorize(parts: DecisionParts, call: Call): Promise<{ recorded: Promise<void> }> {
  const decision = decideCall(parts.policy.bundle, call);
  const recorded = parts.audit.decided(call, decision);
  // Awaited by the caller; this only keeps an early failure from ending the process.
  recorded.catch(() => {});
  call.recorded = recorded;
  const runsAtOnce = !call.row.changes || call.row.checksFirst === true;
  if (decision.kind !== "allowed" || !runsAtOnce) await recorded;
  requireAllowed(decision);
  return { recorded };
}

/** What the policy says of the call at this moment. */
export function decideCall(bundle: CurrentPolicy["bundle"], call: Call): Decision {
  const { permission, uses } = call.row;
  if (permission === "anonymous") return { kind: "allowed", delegated: false };
  if (call.principal === undefined || call.resource === undefined) {
    throw new Error("A call came to its decision without a caller or a resource.");
  }
  const decision = decide(call.principal, permission, call.resource, bundle);
  if (decision.kind !== "allowed" || uses === undefined || call.used === undefined) return decision;
  const used = decide(call.principal, uses.permission, call.used, bundle);
  return used.kind === "allowed" ? decision : used;
}
