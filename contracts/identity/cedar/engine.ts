/** The Cedar engine with policies that were parsed before: asked for one request at a time. */
import { preparsePolicySet, statefulIsAuthorized } from "@cedar-policy/cedar-wasm/nodejs";
import type { CustomRole } from "../policy-document.ts";
import type { CedarRequest } from "./entities.ts";
import { policiesOf } from "./policies.ts";

export interface CedarAnswer {
  readonly isAllowed: boolean;
  /** Ids of the policies that decided. */
  readonly policies: readonly string[];
}

/** The engine never forgets a set, but takes a new one under an old name. */
const setsMax = 64;
/** Names by what the sets say, the one that was used longest ago first. */
const sets = new Map<string, string>();

/** Parses the policies where these roles are not known yet; the name is good until other ones have come. */
export function policySetOf(roles: readonly CustomRole[]): string {
  const key = JSON.stringify(roles);
  let name = sets.get(key);
  if (name === undefined) {
    name = sets.size < setsMax ? `roles-${sets.size}` : takeOldest();
    const parsed = preparsePolicySet(name, { staticPolicies: { ...policiesOf(roles) } });
    if (parsed.type === "failure") throw new Error(`The roles are no policies: ${parsed.errors[0]?.message}`);
  }
  sets.delete(key);
  sets.set(key, name);
  return name;
}

function takeOldest(): string {
  const [key, name] = sets.entries().next().value!;
  sets.delete(key);
  return name;
}

/** Throws where anything is wrong with the question: a policy that can't be evaluated might be one that forbids. */
export function ask(policySet: string, request: CedarRequest): CedarAnswer {
  const answer = statefulIsAuthorized({ ...request, context: {}, preparsedPolicySetId: policySet });
  if (answer.type === "failure") throw new Error(`Cedar failed: ${answer.errors[0]?.message}`);
  const { decision, diagnostics } = answer.response;
  const [error] = diagnostics.errors;
  if (error !== undefined) throw new Error(`Cedar failed in ${error.policyId}: ${error.error.message}`);
  return { isAllowed: decision === "allow", policies: diagnostics.reason };
}
