/**
 * What a decision costs: one that was made before under the same bundle, and a first one beside the bare Cedar call with
 * the same parsed policies, request and entities.
 */
import type { Actor, Assignment, PolicyBundle, Resource } from "@biplane/identity";
import { ask, policySetOf } from "@biplane/identity/cedar/engine";
import { requestOf } from "@biplane/identity/cedar/entities";
import { decide } from "@biplane/identity/decide";
import { statefulIsAuthorized } from "@cedar-policy/cedar-wasm/nodejs";
import { percentiles } from "./runs-common.ts";
import { absoluteRow, type BenchRow, ratioRow } from "./types.ts";

const org = "acme";
const rounds = 5;
const firstDecisions = 400;
const cachedDecisions = 20_000;
/** Timed together, since one takes less than the clock can tell. */
const cachedTogether = 20;

const actor: Actor = { org, subject: "ada", kind: "user", groups: ["team", "everybody"] };

/** An organization of some size: a thousand assignments, five roles of its own; the actor has three of them. */
function bundleOf(version: number): PolicyBundle {
  const others = Array.from({ length: 1_000 }, (_, index) =>
    assignment(`user-${index}`, "Viewer", `p${index}`),
  );
  return {
    org,
    version,
    roles: Array.from({ length: 5 }, (_, index) => ({
      name: `Custom${index}`,
      permissions: ["run.read", "data.read", "task.deploy"],
    })),
    assignments: [
      ...others,
      assignment("ada", "Contributor", "flights"),
      assignment("ada", "Custom1", "weather"),
      { ...assignment("team", "Viewer", "maps"), principal: { kind: "group", id: "team" } },
    ],
    denied: [],
  };
}

function assignment(id: string, role: string, project: string): Assignment {
  const scope = { project, domain: "development" };
  return { id: `a-${id}-${role}`, principal: { kind: "subject", id }, role, scope };
}

function resourceAt(index: number): Resource {
  return { org, project: index % 2 === 0 ? "flights" : "other", domain: `domain-${index}`, run: "r1" };
}

export async function run(): Promise<BenchRow[]> {
  const ours: number[] = [];
  const bare: number[] = [];
  // In turns, so that a busy moment of the machine meets both; the first round warms both up.
  for (let round = 0; round <= rounds; round += 1) {
    const [one, other] = [firstDecisionsUs(round), bareCallsUs(round)];
    if (round > 0) ours.push(...one);
    if (round > 0) bare.push(...other);
  }
  const first = {
    measure: "uncached.p50",
    unit: "µs",
    value: percentiles(ours).p50,
    reference: "Cedar with the same parsed policies and entities",
    referenceValue: percentiles(bare).p50,
  };
  const cached = {
    measure: "cached.p50",
    unit: "µs",
    value: percentiles(cachedUs()).p50,
    reference: "the same question under the same bundle",
  };
  return [absoluteRow(cached, { atMost: 10 }), ratioRow(first, { atMost: 1.5 })];
}

function firstDecisionsUs(round: number): number[] {
  const bundle = bundleOf(round + 1);
  // Parses the bundle, which is done once for each version.
  decide(actor, "run.read", { org }, bundle);
  return Array.from({ length: firstDecisions }, (_, index) =>
    timedUs(() => decide(actor, "run.read", resourceAt(index), bundle)),
  );
}

function bareCallsUs(round: number): number[] {
  const { roles, assignments } = bundleOf(round + 1);
  const preparsedPolicySetId = policySetOf(roles);
  const held = assignments.filter(({ principal }) => principal.id === "ada" || principal.id === "team");
  const calls = Array.from({ length: firstDecisions }, (_, index) => ({
    ...requestOf(actor, "run.read", resourceAt(index), held),
    context: {},
    preparsedPolicySetId,
  }));
  // The comparison would be void if the reference decided something else.
  const decided = ask(preparsedPolicySetId, calls[0]!).isAllowed;
  const whole = decide(actor, "run.read", resourceAt(0), bundleOf(round + 1)).kind === "allowed";
  if (decided !== whole) throw new Error("The reference decides otherwise.");
  return calls.map((call) => timedUs(() => statefulIsAuthorized(call)));
}

function cachedUs(): number[] {
  const bundle = bundleOf(100);
  const resource = { org, project: "flights", domain: "development", run: "r1" };
  const once = () => decide(actor, "run.read", resource, bundle);
  once();
  return Array.from({ length: cachedDecisions / cachedTogether }, () => {
    const us = timedUs(() => {
      for (let index = 0; index < cachedTogether; index += 1) once();
    });
    return us / cachedTogether;
  });
}

function timedUs(work: () => unknown): number {
  const began = performance.now();
  work();
  return (performance.now() - began) * 1_000;
}
