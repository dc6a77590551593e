/** What people are told of a decision that is not in their favour; alike in both planes. */
import { BiplaneError } from "@biplane/base";
import type { Decision } from "./requests.ts";

/** Throws for everything but `allowed`. */
export function requireAllowed(decision: Decision): void {
  if (decision.kind !== "allowed") throw refusalOf(decision.kind);
}

function refusalOf(kind: Exclude<Decision["kind"], "allowed">): BiplaneError {
  if (kind === "hidden") {
    return new BiplaneError("not_found", "There is no such thing in this organization.", {
      reason: "unknown",
    });
  }
  if (kind === "stale") {
    return new BiplaneError(
      "unavailable",
      {
        what: "It can't be decided who may do this.",
        why: "The policy that is known is out of date, and no newer one has come over the link.",
        next: "Try again once home cluster and control plane reach each other.",
      },
      { reason: "policy_stale" },
    );
  }
  return new BiplaneError(
    "permission_denied",
    {
      what: "You may not do this.",
      why: "None of your roles permits it here.",
      next: "Ask an administrator of your organization for a role.",
    },
    { reason: "not_permitted" },
  );
}
