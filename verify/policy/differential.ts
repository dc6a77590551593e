/** Rounds of random questions whose answers the model knows, and where a plane's program answers otherwise (claim IAM-2). */
import type { DecidingProcess } from "./deciding-process.ts";
import { modelDecision, type Policy } from "./model.ts";
import { type Names, type Question, Questions } from "./questions.ts";

export interface Round {
  readonly seed: number;
  readonly policy: Policy | undefined;
  readonly questions: readonly Question[];
  readonly expected: readonly string[];
}

export interface Disagreement {
  readonly seed: number;
  readonly policy: Policy | undefined;
  readonly question: Question | undefined;
  readonly model: string | undefined;
  readonly process: string;
}

export const questionsPerPolicy = 500;

/** About a random policy; about a given one with names of it. */
export function makeRound(
  seed: number,
  count: number,
  given?: { readonly policy: Policy; readonly names: Names },
): Round {
  const random = new Questions(seed, given?.names);
  const policy = given === undefined ? random.policy() : given.policy;
  const questions = Array.from({ length: count }, () => random.question());
  const expected = questions.map(({ actor, permission, resource }) =>
    modelDecision(random.world, policy, actor, permission, resource),
  );
  return { seed, policy, questions, expected };
}

/** `wrong`: makes another policy of the round's for the process to decide by. */
export async function disagreements(
  process: DecidingProcess,
  { seed, policy, questions, expected }: Round,
  wrong?: (policy: Policy) => Policy,
): Promise<Disagreement[]> {
  const given = policy === undefined || wrong === undefined ? policy : wrong(policy);
  const answers = await process.decide(given, questions);
  return answers.flatMap((answer, index) =>
    answer === expected[index]
      ? []
      : [{ seed, policy, question: questions[index], model: expected[index], process: answer }],
  );
}

/** Small mistakes of the kind that nobody sees in review, each made in the policy that one process is given. */
export const mistakes: Readonly<Record<string, (policy: Policy) => Policy>> = {
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

/** The first disagreement of as many rounds as it may take; undefined where the mistake was never noticed. */
export async function findMistake(process: DecidingProcess, name: string): Promise<Disagreement | undefined> {
  for (let seed = 1; seed <= roundsMax; seed += 1) {
    const found = await disagreements(process, makeRound(seed, questionsPerPolicy), mistakes[name]);
    if (found[0] !== undefined) return found[0];
  }
  return undefined;
}

const roundsMax = 40;

function changed(change: (content: Policy["content"]) => Policy["content"]) {
  return (policy: Policy): Policy => ({ ...policy, content: change(policy.content) });
}
