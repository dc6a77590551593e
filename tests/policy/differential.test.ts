/**
 * Both planes' built programs and a model of a few lines decide the same random questions: a sample with every run, a
 * million with `npm run test:policy-differential`. A disagreement prints its seed.
 */
import { afterAll, beforeAll, expect, test } from "vitest";
import { DecidingProcess } from "./deciding-process.ts";
import { modelDecision, type Policy } from "./model.ts";
import { type Question, Questions, world } from "./questions.ts";

const total = Number(process.env["BIPLANE_POLICY_QUESTIONS"] ?? 20_000);
const perPolicy = 500;
const firstSeed = Number(process.env["BIPLANE_FAULT_SEED"] ?? Date.now() % 1_000_000_000);
const minutesMax = 30;

let control: DecidingProcess;
let data: DecidingProcess;
beforeAll(() => {
  control = new DecidingProcess("control");
  data = new DecidingProcess("data");
});
afterAll(() => {
  control?.close();
  data?.close();
});

interface Asked {
  readonly seed: number;
  readonly policy: Policy | undefined;
  readonly questions: readonly Question[];
  readonly expected: readonly string[];
}

function ask(seed: number, count: number): Asked {
  const random = new Questions(seed);
  const policy = random.policy();
  const questions = Array.from({ length: count }, () => random.question());
  const expected = questions.map(({ actor, permission, resource }) =>
    modelDecision(world, policy, actor, permission, resource),
  );
  return { seed, policy, questions, expected };
}

function disagreements({ seed, policy, questions, expected }: Asked, answers: readonly string[]) {
  return questions.flatMap((question, index) =>
    answers[index] === expected[index]
      ? []
      : [{ seed, policy, question, model: expected[index], process: answers[index] }],
  );
}

test(
  `both planes and the model agree on ${total} random questions (claim IAM-2)`,
  async () => {
    const counts = new Map<string, number>();
    let asked = 0;
    for (let seed = firstSeed; asked < total; seed += 1) {
      const round = ask(seed, Math.min(perPolicy, total - asked));
      const { policy, questions } = round;
      const [ofControl, ofData] = await Promise.all([
        control.decide(policy, questions),
        data.decide(policy, questions),
      ]);
      expect(disagreements(round, ofControl).slice(0, 3)).toEqual([]);
      expect(disagreements(round, ofData).slice(0, 3)).toEqual([]);
      for (const word of ofData) counts.set(word, (counts.get(word) ?? 0) + 1);
      asked += questions.length;
    }
    console.log(`seeds from ${firstSeed}:`, Object.fromEntries(counts));
    // Fewer rounds than these need not meet every kind of policy.
    if (total < 20 * perPolicy) return;
    expect([...counts.keys()].sort()).toEqual(["allowed", "delegated", "denied", "hidden", "stale"]);
    // Questions that nearly everybody would answer alike prove little.
    for (const word of ["allowed", "denied"]) expect(counts.get(word)! / asked).toBeGreaterThan(0.02);
  },
  minutesMax * 60_000,
);

/** Small mistakes of the kind that nobody sees in review, each made in the policy that one process is given. */
const mistakes: Readonly<Record<string, (policy: Policy) => Policy>> = {
  "a scope that lost its domain": changed((content) => ({
    ...content,
    assignments: content.assignments.map((one) => ({
      ...one,
      scope: one.scope.project === undefined ? {} : { project: one.scope.project },
    })),
  })),
  "a group taken for a subject": changed((content) => ({
    ...content,
    assignments: content.assignments.map((one) => ({
      ...one,
      principal: { kind: "subject" as const, id: one.principal.id.replaceAll(" ", "") },
    })),
  })),
  "a custom role with one more permission": changed((content) => ({
    ...content,
    roles: content.roles.map((role) => ({ ...role, permissions: [...role.permissions, "run.create"] })),
  })),
  "a deny list that was forgotten": changed((content) => ({ ...content, denied: [] })),
};

function changed(change: (content: Policy["content"]) => Policy["content"]) {
  return (policy: Policy): Policy => ({ ...policy, content: change(policy.content) });
}

test.each(Object.keys(mistakes))("control: %s is found", async (name) => {
  for (let seed = 1; seed <= 40; seed += 1) {
    const round = ask(seed, perPolicy);
    if (round.policy === undefined) continue;
    const answers = await control.decide(mistakes[name]!(round.policy), round.questions);
    if (disagreements(round, answers).length > 0) return;
  }
  throw new Error("Both agreed, although one of them was given another policy.");
});
