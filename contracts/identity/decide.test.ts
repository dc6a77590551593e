import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decide } from "./decide.ts";
import type { Assignment, PolicyBundle } from "./policy-document.ts";
import type { Actor, Resource } from "./requests.ts";
import { type Permission, permissions, type RoleName, roles } from "./roles.ts";

const org = "acme";
const submitter: Actor = { org, subject: "ada", kind: "user", groups: [] };
const task: Actor = {
  org,
  subject: "task:x",
  kind: "task",
  groups: [],
  actingFor: "ada",
  attempt: { project: "flights", domain: "development", run: "r1", action: "a0" },
};
const home = { org, project: "flights", domain: "development" };

type Brief = { subject: string; role: RoleName; scope: Assignment["scope"] };

function bundleOf(...briefs: Brief[]): PolicyBundle {
  const assignments = briefs.map(({ subject, role, scope }, index) => ({
    id: `a-${index}`,
    principal: { kind: "subject" as const, id: subject },
    role,
    scope,
  }));
  return { org, version: 1, roles: [], assignments, denied: [] };
}
const everywhere = bundleOf({ subject: "ada", role: "Admin", scope: {} });

describe("a task", () => {
  test("has its own sub-actions, and no other action's or run's (claim IAM-4)", () => {
    const own = { ...home, run: "r1", action: "a0" };
    expect(decide(task, "children.write", own, everywhere).kind).toBe("allowed");
    expect(decide(task, "children.write", { ...own, action: "other" }, everywhere).kind).toBe("denied");
    expect(decide(task, "children.read", { ...own, run: "r2" }, everywhere).kind).toBe("denied");
    expect(decide(task, "children.read", { ...own, domain: "production" }, everywhere).kind).toBe("denied");
  });

  test("acts for its submitter in its own project-domain, and that is said (claim IAM-4)", () => {
    expect(decide(task, "run.create", home, everywhere)).toEqual({ kind: "allowed", delegated: true });
    expect(decide(task, "run.create", { ...home, domain: "production" }, everywhere).kind).toBe("denied");
    expect(decide(task, "run.create", { ...home, project: "other" }, everywhere).kind).toBe("denied");
  });

  test("has no right that its submitter lacks", () => {
    const viewer = bundleOf({ subject: "ada", role: "Viewer", scope: {} });
    expect(decide(task, "run.read", home, viewer).kind).toBe("allowed");
    expect(decide(task, "run.create", home, viewer).kind).toBe("denied");
    expect(decide(task, "run.read", home, bundleOf()).kind).toBe("denied");
  });

  test("never administers, deploys or reads the border, whoever submitted it", () => {
    for (const permission of ["project.create", "project.update", "task.deploy", "border.read"] as const) {
      expect(decide(task, permission, home, everywhere).kind, permission).toBe("denied");
    }
  });
});

test("nobody but a task has sub-actions", () => {
  const resource = { ...home, run: "r1", action: "a0" };
  expect(decide(submitter, "children.write", resource, everywhere).kind).toBe("denied");
});

test("another organization's resource is hidden, and so is everything under another organization's policy", () => {
  expect(decide(submitter, "run.read", { ...home, org: "other" }, everywhere).kind).toBe("hidden");
  expect(decide(submitter, "run.read", home, { ...everywhere, org: "other" }).kind).toBe("hidden");
});

test("a project's entry can be read by whoever has a role in one of its domains, its runs can't", () => {
  const bundle = bundleOf({
    subject: "ada",
    role: "Viewer",
    scope: { project: "flights", domain: "development" },
  });
  expect(decide(submitter, "project.read", { org, project: "flights" }, bundle).kind).toBe("allowed");
  expect(decide(submitter, "project.read", { org, project: "other" }, bundle).kind).toBe("denied");
  expect(decide(submitter, "run.read", { org, project: "flights" }, bundle).kind).toBe("denied");
});

const name = fc.constantFrom("a", "b");
const scope = fc.record({ project: name, domain: name }, { requiredKeys: [] });
const assignment = fc.record({
  subject: fc.constantFrom("ada", "bob"),
  role: fc.constantFrom<RoleName>("Admin", "Contributor", "Viewer"),
  scope,
});

test("decides as a plain model does, for any assignments (claim IAM-2)", () => {
  const property = fc.property(
    fc.array(assignment, { maxLength: 4 }),
    fc.constantFrom(...permissions),
    fc.record({ org: fc.constantFrom(org, "other"), project: name, domain: name }),
    (assignments, permission, resource) => {
      const expected = model(assignments, permission, resource);
      expect(decide(submitter, permission, resource, bundleOf(...assignments)).kind).toBe(expected);
    },
  );
  fc.assert(property, { numRuns: 2_000 });
});

/** Written differently on purpose: goes from the assignments to the answer by listing all that they grant. */
function model(assignments: readonly Brief[], permission: Permission, resource: Resource): string {
  if (resource.org !== org) return "hidden";
  const granted = new Set<string>();
  for (const { subject, role, scope: where } of assignments) {
    if (subject !== submitter.subject) continue;
    for (const project of where.project === undefined ? ["a", "b"] : [where.project]) {
      for (const domain of where.domain === undefined ? ["a", "b"] : [where.domain]) {
        for (const one of roles[role]) granted.add(`${one} ${project} ${domain}`);
      }
    }
  }
  return granted.has(`${permission} ${resource.project} ${resource.domain}`) ? "allowed" : "denied";
}
