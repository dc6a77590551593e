/**
 * The control plane's one decision point: by the policy that the customer's authority signed, as the router decides
 * (claim IAM-2). It can enforce that policy, and neither change nor replace it.
 */
import { BiplaneError } from "@biplane/base";
import { type IndexMethod, type IndexRow, indexTable } from "@biplane/classification/control-table";
import type { RunRef } from "@biplane/control-wire";
import { type Decision, isDenied, type PolicyBundle, type Resource, requireAllowed } from "@biplane/identity";
import { decide } from "@biplane/identity/decide";
import type { Principal } from "./principal.ts";

/** The fields by which requests of the index name what they are about. */
export interface NamingRequest {
  readonly run?: RunRef;
  readonly id?: string;
  readonly project?: string;
  readonly domain?: string;
}

/** Throws where the call may not go on. `bundle` is undefined where none is in date. */
export function authorize(
  principal: Principal,
  method: IndexMethod,
  request: NamingRequest,
  bundle: PolicyBundle | undefined,
): void {
  if (bundle !== undefined && isDenied(bundle, principal.origin)) throw takenBack();
  const row = indexTable[method];
  requireAllowed(decideRow(principal, row, resourceOf(row, request, principal.org), bundle));
}

function decideRow(
  principal: Principal,
  { permissions }: IndexRow,
  resource: Resource,
  bundle: PolicyBundle | undefined,
): Decision {
  let decision: Decision = { kind: "denied" };
  for (const permission of permissions) {
    decision = decide(principal, permission, resource, bundle);
    if (decision.kind === "allowed") return decision;
  }
  return decision;
}

function resourceOf({ resource }: IndexRow, request: NamingRequest, ownOrg: string): Resource {
  switch (resource) {
    case "organization":
      return { org: ownOrg };
    case "project":
      return { org: ownOrg, project: text(request.id) };
    case "project-domain":
      return { org: ownOrg, project: text(request.project), domain: text(request.domain) };
    case "run": {
      const { org, project, domain, name } = request.run ?? {};
      return { org: text(org) ?? ownOrg, project: text(project), domain: text(domain), run: text(name) };
    }
  }
}

function text(value: string | undefined): string | undefined {
  return value === "" ? undefined : value;
}

function takenBack(): BiplaneError {
  return new BiplaneError(
    "unauthenticated",
    {
      what: "The access token was revoked.",
      next: "Sign in again with `biplane login`.",
    },
    { reason: "token_revoked" },
  );
}
