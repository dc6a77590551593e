/** Roles, assignments, and why something is allowed or not, for administrators and for whoever asks of themselves. */
import { BiplaneError, KiB, limits } from "@biplane/base";
import { policy as wire } from "@biplane/data-wire";
import type { Actor, Assignment, Resource } from "@biplane/identity";
import { policiesOf } from "@biplane/identity/cedar/policies";
import { cedarSchema } from "@biplane/identity/cedar/schema";
import { explain } from "@biplane/identity/decide";
import { create } from "@bufbuild/protobuf";
import { type PolicyAdministration, parsePermission, type Role } from "../policy/administration.ts";
import { authorizedCall } from "../router/call.ts";
import { serve } from "../router/router.ts";
import { timestamp } from "./messages/times.ts";
import type { ApiParts } from "./parts.ts";

/** A role with every permission fits well. */
const requestBytesMax = 16 * KiB;

export function policyService(parts: ApiParts) {
  const rules = (): PolicyAdministration => parts.administration.rules;
  return serve(
    wire.PolicyService,
    {
      createRole: async ({ name, permissions }) => ({
        role: roleMessage(await rules().createRole(name, permissions)),
      }),
      getRole: async ({ name }) => ({ role: roleMessage(await rules().role(name)) }),
      listRoles: async () => ({ roles: (await rules().roles()).map(roleMessage) }),
      updateRole: async ({ name, permissions }) => ({
        role: roleMessage(await rules().updateRole(name, permissions)),
      }),
      deleteRole: async ({ name }) => {
        await rules().deleteRole(name);
        return {};
      },
      ...assignmentMethods(parts, rules),
      getPolicy: () => currentPolicy(parts),
      canI: (request, context) => {
        const { principal } = authorizedCall(context);
        return { explanation: explanationOf(parts, principal, request) };
      },
      explain: async (request) => {
        const { actor, refusal } = await actorNamed(parts, request);
        const explanation = explanationOf(parts, actor, request);
        return { explanation: { ...explanation, refusal, allowed: explanation.allowed && refusal === "" } };
      },
    },
    requestBytesMax,
  );
}

function assignmentMethods(parts: ApiParts, rules: () => PolicyAdministration) {
  return {
    createAssignment: async (request: wire.CreateAssignmentRequest) => {
      const { role, project, domain } = request;
      const principal = await principalOf(parts, request.principal);
      const assigned = await rules().assign({ principal, role, project, domain });
      return { assignment: assignmentMessage(assigned) };
    },
    updateAssignment: async ({ id, role, project, domain }: wire.UpdateAssignmentRequest) => ({
      assignment: assignmentMessage(await rules().reassign(id, { role, project, domain })),
    }),
    listAssignments: async ({ limit, token }: wire.ListAssignmentsRequest) => {
      const size = Math.min(limit === 0 ? limits.listLimitDefault : limit, limits.listLimitMax);
      const page = await rules().assignments(token, size);
      const next = page.length < size ? "" : (page.at(-1)?.id ?? "");
      return { assignments: page.map(assignmentMessage), token: next };
    },
    deleteAssignment: async ({ id }: wire.DeleteAssignmentRequest) => {
      await rules().unassign(id);
      return {};
    },
  };
}

/** Only who exists here gets a role: a name that somebody chooses later must not bring one. */
async function principalOf(parts: ApiParts, named: wire.CreateAssignmentRequest["principal"]) {
  if (named.case === "group") return { kind: "group", id: named.value } as const;
  if (named.case === "subject") {
    return { kind: "subject", id: (await subjectNamed(parts, named.value)).subject } as const;
  }
  throw new BiplaneError("invalid_argument", {
    what: "The assignment says nobody who is to have the role.",
    next: "Name a subject or a group.",
  });
}

async function subjectNamed({ administration }: ApiParts, name: string) {
  if (name.includes("@")) return administration.people.get(name);
  const found = await administration.directory.find(name);
  if (found !== undefined) return found;
  throw new BiplaneError("not_found", {
    what: "There is no such person or program.",
    next: "List them: biplane get user, biplane get apikey",
  });
}

async function actorNamed(
  parts: ApiParts,
  { subject: name, groups }: wire.ExplainRequest,
): Promise<{ actor: Actor; refusal: string }> {
  const found = await subjectNamed(parts, name);
  const { subject, kind, profile } = found;
  const actor = { org: parts.org, subject, kind, groups: [...(profile.groups ?? []), ...groups] };
  const isActive = (await parts.administration.directory.findActive(subject)) !== undefined;
  return { actor, refusal: isActive ? "" : "disabled" };
}

function explanationOf(
  parts: ApiParts,
  actor: Actor,
  asked: { readonly permission: string; readonly project: string; readonly domain: string },
) {
  const permission = parsePermission(asked.permission);
  const resource: Resource = {
    org: parts.org,
    ...(asked.project === "" ? {} : { project: asked.project }),
    ...(asked.domain === "" ? {} : { domain: asked.domain }),
  };
  const { bundle } = parts.policy;
  const { decision, because } = explain(actor, permission, resource, bundle);
  const texts = policiesOf(bundle?.roles ?? []);
  return create(wire.ExplanationSchema, {
    subject: actor.subject,
    allowed: decision.kind === "allowed",
    because: because.map(({ policy: id, assignments }) => ({
      policy: { id, text: texts[id] ?? "" },
      assignments: assignments.map(assignmentMessage),
    })),
    refusal: decision.kind === "stale" ? "policy_stale" : "",
    policyVersion: BigInt(bundle?.version ?? 0),
  });
}

function currentPolicy({ documents }: ApiParts) {
  const held = documents.signed("policy");
  if (held === undefined) {
    throw new BiplaneError("unavailable", "No policy has come over the link yet.", {
      reason: "policy_stale",
    });
  }
  const { head, content } = held.document;
  return {
    version: BigInt(head.version),
    issuedAt: timestamp(head.issuedAt * 1_000),
    expiresAt: timestamp(head.expiresAt * 1_000),
    signed: held.jws,
    schema: cedarSchema,
    policies: Object.entries(policiesOf(content.roles)).map(([id, text]) => ({ id, text })),
  };
}

function roleMessage({ name, permissions, builtIn }: Role) {
  return { name, permissions: [...permissions], builtIn };
}

function assignmentMessage({ id, principal, role, scope }: Assignment) {
  const named =
    principal.kind === "subject"
      ? ({ case: "subject", value: principal.id } as const)
      : ({ case: "group", value: principal.id } as const);
  return { id, principal: named, role, project: scope.project ?? "", domain: scope.domain ?? "" };
}
