import { validate } from "@cedar-policy/cedar-wasm/nodejs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decide, explain } from "../decide.ts";
import type { Assignment, PolicyBundle } from "../policy-document.ts";
import type { Actor, Resource } from "../requests.ts";
import { permissions } from "../roles.ts";
import { ask, policySetOf } from "./engine.ts";
import { requestOf } from "./entities.ts";
import { policiesOf } from "./policies.ts";
import { Recent } from "./recent.ts";
import { cedarSchema, decidedByPolicy } from "./schema.ts";

const org = "acme";
const ada: Actor = { org, subject: "ada", kind: "user", groups: ["team"] };

function bundleOf(assignments: readonly Assignment[], roles: PolicyBundle["roles"] = []): PolicyBundle {
  return { org, version: 1, roles, assignments: [...assignments], denied: [] };
}

function held(id: string, role: string, scope: Assignment["scope"] = {}, group?: string): Assignment {
  const principal =
    group === undefined ? ({ kind: "subject", id: "ada" } as const) : ({ kind: "group", id: group } as const);
  return { id, principal, role, scope };
}

describe("policies", () => {
  const roleName = fc.stringMatching(/^[A-Za-z][A-Za-z0-9_.-]{0,20}$/);
  const role = fc.record({
    name: fc.oneof(roleName, fc.constantFrom("constructor", "toString", "Admin", "hasOwnProperty")),
    permissions: fc.subarray([...permissions, "weather.read"]),
  });

  test("fit the one schema, whatever roles there are", () => {
    const property = fc.property(fc.array(role, { maxLength: 4 }), (roles) => {
      const answer = validate({
        schema: cedarSchema,
        policies: { staticPolicies: { ...policiesOf(roles) } },
        validationSettings: { mode: "strict" },
      });
      expect(answer).toMatchObject({ type: "success", validationErrors: [] });
    });
    fc.assert(property, { numRuns: 30 });
  });

  test("control: a policy about something that the schema lacks does not fit", () => {
    const answer = validate({
      schema: cedarSchema,
      policies: {
        staticPolicies: { weather: 'permit (principal, action == Action::"weather.read", resource);' },
      },
      validationSettings: { mode: "strict" },
    });
    expect(answer.type === "success" && answer.validationErrors.length).toBeGreaterThan(0);
  });

  test("a custom role can't take a built-in one's name", () => {
    const bundle = bundleOf([held("a-1", "Viewer")], [{ name: "Viewer", permissions: ["keys.write"] }]);
    expect(decide(ada, "keys.write", { org }, bundle).kind).toBe("denied");
    expect(decide(ada, "run.read", { org }, bundle).kind).toBe("allowed");
  });

  test("of more role sets than are kept parsed, each decides by its own roles", () => {
    const bundles = Array.from({ length: 150 }, (_, index) =>
      bundleOf(
        [held("a-1", "Own")],
        [
          {
            name: "Own",
            permissions: [index % 2 === 0 ? "run.read" : "run.create", `x${"y".repeat(index)}.z`],
          },
        ],
      ),
    );
    for (let round = 0; round < 2; round += 1) {
      bundles.forEach((bundle, index) => {
        // Another place in each round, so that the engine is asked.
        const asked = { org, project: `p${round}` };
        expect(decide(ada, "run.read", asked, bundle).kind).toBe(index % 2 === 0 ? "allowed" : "denied");
      });
    }
  });
});

test("names that look like two others' joined are nobody's", () => {
  const bundle = bundleOf([held("a-1", "Viewer", { project: "a", domain: "b" })]);
  const asked = (resource: Omit<Resource, "org">) =>
    decide(ada, "run.read", { org, ...resource }, bundle).kind;
  expect(asked({ project: "a", domain: "b" })).toBe("allowed");
  for (const project of ["a/b", "a%2Fb", "A", "a\u0000", "a ", "%61"]) {
    expect(asked({ project }), project).toBe("denied");
    expect(asked({ project, domain: "b" }), project).toBe("denied");
  }
});

test("any text is a request that is decided: nothing makes the engine fail", () => {
  const bundle = bundleOf([held("a-1", "Contributor", { project: "a" })]);
  const property = fc.property(
    fc.record({ project: fc.string({ unit: "binary" }), domain: fc.string({ unit: "binary" }) }),
    fc.string({ unit: "binary", minLength: 1 }),
    fc.constantFrom(...decidedByPolicy),
    (place, subject, permission) => {
      const known = ["allowed", "denied"];
      expect(known).toContain(decide({ ...ada, subject }, permission, { org, ...place }, bundle).kind);
    },
  );
  fc.assert(property, { numRuns: 300 });
});

describe("an explanation", () => {
  const bundle = bundleOf([
    held("a-1", "Viewer", { project: "flights", domain: "development" }),
    held("a-2", "Viewer", {}, "team"),
    held("a-3", "Contributor", { project: "flights" }),
    held("a-4", "Viewer", {}, "others"),
  ]);
  const place = { org, project: "flights", domain: "development" };

  test("names each policy that permits, and each assignment that would be enough alone", () => {
    const { decision, because } = explain(ada, "run.read", place, bundle);
    expect(decision.kind).toBe("allowed");
    const named = because.map(({ policy, assignments }) => [policy, assignments.map(({ id }) => id)]);
    expect(named.sort()).toEqual([
      ["role Contributor", ["a-3"]],
      ["role Viewer", ["a-1", "a-2"]],
    ]);
  });

  test("names nothing where nothing permits, and what forbids where something does", () => {
    expect(explain(ada, "keys.write", place, bundle)).toEqual({ decision: { kind: "denied" }, because: [] });
    const attempt = { project: "flights", domain: "development", run: "r", action: "a0" };
    const task: Actor = { ...ada, subject: "task:x", kind: "task", actingFor: "ada", attempt };
    const elsewhere = { ...place, domain: "production" };
    expect(explain(task, "run.read", elsewhere, bundle)).toEqual({
      decision: { kind: "denied" },
      because: [{ policy: "limits of attempts", assignments: [] }],
    });
  });
});

test("a policy that can't be evaluated is a failure, never a permission", () => {
  const request = requestOf(ada, "run.read", { org }, [held("a-1", "Viewer")]);
  const broken = request.entities.filter(({ uid }) => !("type" in uid) || uid.type !== "Holding");
  expect(() => ask(policySetOf([]), { ...request, entities: broken })).toThrow(/Cedar failed/);
});

test("what was asked for longest ago is forgotten first", () => {
  const recent = new Recent<number>(2);
  recent.set("a", 1);
  recent.set("b", 2);
  expect(recent.get("a")).toBe(1);
  recent.set("c", 3);
  expect([recent.get("a"), recent.get("b"), recent.get("c"), recent.size]).toEqual([1, undefined, 3, 2]);
});
