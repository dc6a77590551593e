/** Role by scope: who asks in the matrices of both planes, and what the model says of them (claim IAM-2). */
import type { AssignmentScope, Resource } from "@biplane/identity";
import { Code, ConnectError } from "@connectrpc/connect";
import { modelDecision } from "./model.ts";

/** Beside the built-in ones, some of everything: it permits what no built-in role permits without more. */
export const operator = {
  name: "Operator",
  permissions: [
    ...["run.abort", "keys.read", "policy.write", "data.upload"],
    ...["records.read", "project.update"],
  ],
};
export const matrixRoles = ["Admin", "Contributor", "Viewer", operator.name];
export const matrixPlace = { project: "flights", domain: "development" };
export const matrixScopes: Readonly<Record<string, AssignmentScope>> = {
  "the organization": {},
  "the domain": { domain: matrixPlace.domain },
  "the project": { project: matrixPlace.project },
  "the project-domain": matrixPlace,
  "another project": { ...matrixPlace, project: "other" },
};
const world = { projects: ["flights", "other", "none"], domains: ["development", "production", "none"] };

export interface MatrixSubject {
  readonly org: string;
  readonly id: string;
  readonly role: string;
  readonly scope: AssignmentScope;
}

export function expectedOf(subject: MatrixSubject, permission: string, resource: Resource): string {
  const { org, id, role, scope } = subject;
  const assignments = [{ id: "a", principal: { kind: "subject" as const, id }, role, scope }];
  const content = { roles: [operator], assignments, denied: [] };
  const actor = { org, subject: id, kind: "service" as const, groups: [] };
  return modelDecision(world, { org, content }, actor, permission, resource);
}

/** What a plane decided, by what came of the call. Throws where it did not come to a decision. */
export async function decisionBy(call: Promise<unknown>): Promise<string> {
  try {
    await call;
    return "allowed";
  } catch (error) {
    const { code, metadata } = ConnectError.from(error);
    const reason = metadata.get("biplane-reason");
    if (code === Code.PermissionDenied && reason === "not_permitted") return "denied";
    if (code === Code.NotFound && reason === "unknown") return "hidden";
    if (code === Code.Unauthenticated || code === Code.Internal || code === Code.Unimplemented) throw error;
    // It was let through, and found nothing.
    return "allowed";
  }
}
