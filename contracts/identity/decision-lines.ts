/**
 * Decisions as lines of text: a policy, then questions that are decided by it, each a line of JSON. By this anyone can
 * ask both planes' own programs what they would decide, and compare (claim IAM-2).
 */
import { z } from "zod";
import { decide } from "./decide.ts";
import { type PolicyBundle, policyContent } from "./policy-document.ts";
import { type Permission, permissions } from "./roles.ts";

const names = z.string().max(1_024);
const actor = z.strictObject({
  org: names,
  subject: names,
  kind: z.enum(["user", "service", "task"]),
  groups: z.array(names).max(1_000).default([]),
  attempt: z.strictObject({ project: names, domain: names, run: names, action: names }).optional(),
  actingFor: names.optional(),
});
const resource = z.strictObject({
  org: names,
  project: names.optional(),
  domain: names.optional(),
  run: names.optional(),
  action: names.optional(),
});
const question = z.strictObject({
  actor,
  permission: z.enum(permissions as readonly Permission[] as [Permission, ...Permission[]]),
  resource,
});
/** Null: there is none in date. */
const policy = z.strictObject({
  org: names,
  version: z.int().positive(),
  content: policyContent,
});
const line = z.union([question, z.strictObject({ policy: policy.nullable() })]);

/** Answers one line after the other; each answer is one word, or says what is wrong with the line. */
export function createDecisionLines(): (text: string) => string {
  let bundle: PolicyBundle | undefined;
  return (text) => {
    const parsed = line.safeParse(parseJson(text));
    if (!parsed.success) return `unfit: ${z.prettifyError(parsed.error).replaceAll("\n", " ").slice(0, 500)}`;
    if ("policy" in parsed.data) {
      const given = parsed.data.policy;
      bundle = given === null ? undefined : { org: given.org, version: given.version, ...given.content };
      return "policy";
    }
    const decision = decide(parsed.data.actor, parsed.data.permission, parsed.data.resource, bundle);
    return decision.kind === "allowed" && decision.delegated ? "delegated" : decision.kind;
  };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
