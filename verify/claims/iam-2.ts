/** IAM-2: roles bound by policies decide every request, alike in both planes. */
import { policyContent } from "@biplane/identity";
import type { Claim } from "../frame/claim.ts";
import type { Observations } from "../frame/observations.ts";
import type { Subject } from "../frame/subject.ts";
import { DecidingProcess } from "../policy/deciding-process.ts";
import {
  type Disagreement,
  disagreements,
  findMistake,
  makeRound,
  mistakes,
  questionsPerPolicy,
} from "../policy/differential.ts";
import { operator } from "../policy/matrix-subjects.ts";
import type { Policy } from "../policy/model.ts";
import type { Names } from "../policy/questions.ts";
import { decidedMatrix, type MatrixCell, matrixSubjects, wrongCells } from "../scenes/policy-matrix.ts";
import { takenOver, tryMessage } from "../scenes/taken-over.ts";
import { twoClusters, twoClustersWords } from "../scenes/two-clusters.ts";

const randomQuestions = 20_000;
const ownQuestions = 5_000;
const programs = ["control", "data"] as const;
/** What the register calls stale or unsigned, said by a control plane that was taken over. */
const unfitBundles = [
  "the genuine policy bundle with another content",
  "a policy bundle of its own, under the provider's root",
  "an older policy bundle",
];

export const iam2: Claim = {
  id: "IAM-2",
  text: "Admin, Contributor, Viewer, and custom roles bound by policies decide every request, identically in the control plane and in the router.",
  from: "machine",
  // Its control takes the control plane over that others use.
  alone: ["two clusters", "stage"],
  msMax: 240_000,

  async prove(subject, seen) {
    await whileDeciding(subject, async (processes) => {
      await proveRandom(processes, seen);
      await proveOwn(subject, processes, seen);
    });
    const cells = await decidedMatrix(await subject.scene(twoClusters), await subject.scene(matrixSubjects));
    for (const plane of ["router", "control plane"] as const) {
      const own = cells.filter((cell) => cell.plane === plane);
      const wrong = wrongCells(own);
      seen.none(
        `called every method of the ${plane} of ${twoClustersWords} as four roles at five scopes, ${own.length} calls, ${countDenied(own)} of them to be denied`,
        wrong,
      );
    }
  },

  async control(subject, seen) {
    let isCaught = await plantMistakes(subject, seen);
    isCaught = (await plantPermission(subject, seen)) && isCaught;
    const at = await subject.scene(takenOver);
    for (const bundle of unfitBundles) {
      const problems = await tryMessage(at, bundle);
      isCaught =
        seen.caught(
          `said over the link of planes of verify's own: ${bundle}`,
          problems.length === 0 ? ["it was refused, and that is on record"] : problems,
          /was refused/,
        ) && isCaught;
    }
    return isCaught;
  },
};

type Processes = Readonly<Record<(typeof programs)[number], DecidingProcess>>;

/** The same programs that are running. */
async function whileDeciding<T>({ planes }: Subject, work: (processes: Processes) => Promise<T>): Promise<T> {
  const processes = {
    control: new DecidingProcess(planes.control.program),
    data: new DecidingProcess(planes.data.program),
  };
  try {
    return await work(processes);
  } finally {
    for (const name of programs) processes[name].close();
  }
}

async function proveRandom(processes: Processes, seen: Observations): Promise<void> {
  const firstSeed = Date.now() % 1_000_000_000;
  const counts = new Map<string, number>();
  const found: Disagreement[] = [];
  for (let round = 0; round < randomQuestions / questionsPerPolicy; round += 1) {
    const asked = makeRound(firstSeed + round, questionsPerPolicy);
    for (const name of programs) found.push(...(await disagreements(processes[name], asked)));
    for (const word of asked.expected) counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  const shown = [...counts].map(([word, count]) => `${count} ${word}`).join(", ");
  seen.none(
    `asked the programs of both planes ${randomQuestions} random questions about random policies, seeds from ${firstSeed}, and compared them with a model of a few lines: ${shown}`,
    found.map(describe),
  );
}

/** By the policy that this installation's own authority signed, and with its names. */
async function proveOwn({ connection }: Subject, processes: Processes, seen: Observations): Promise<void> {
  const { signed, version } = await connection.policy.getPolicy({});
  const { roles, assignments, denied } = payloadOf(signed);
  const content = policyContent.parse({ roles, assignments, denied });
  const policy: Policy = { org: connection.profile.org, content };
  const given = { policy, names: namesIn(policy) };
  const asked = makeRound(1, ownQuestions, given);
  for (const name of programs) {
    const found = await disagreements(processes[name], asked);
    seen.none(
      `asked the ${name} plane's program ${ownQuestions} questions by this installation's own policy, version ${version}, with ${content.assignments.length} assignments`,
      found.map(describe),
    );
  }
}

function payloadOf(jws: string): Record<string, unknown> {
  return JSON.parse(Buffer.from(jws.split(".")[1] ?? "", "base64url").toString()) as Record<string, unknown>;
}

/** Those that the policy speaks of, and one more of each kind. */
function namesIn({ org, content }: Policy): Names {
  const of = (kind: "subject" | "group") =>
    content.assignments
      .filter(({ principal }) => principal.kind === kind)
      .map(({ principal }) => principal.id);
  const named = (part: "project" | "domain") => content.assignments.flatMap(({ scope }) => scope[part] ?? []);
  return {
    org,
    projects: unique([...named("project"), "flights"]),
    domains: unique([...named("domain"), "development"]),
    subjects: unique([...of("subject"), "nobody"]),
    groups: unique([...of("group"), "none"]),
  };
}

function unique(names: readonly string[]): string[] {
  return [...new Set(names)];
}

function describe({ seed, question, model, process }: Disagreement): string {
  return `seed ${seed}, ${JSON.stringify(question)}: the model says ${model}, the program ${process}`;
}

function countDenied(cells: readonly MatrixCell[]): number {
  return cells.filter(({ expected }) => expected === "denied").length;
}

/** Each in the policy that one program is given. */
function plantMistakes(subject: Subject, seen: Observations): Promise<boolean> {
  return whileDeciding(subject, async (processes) => {
    let isCaught = true;
    for (const name of Object.keys(mistakes)) {
      for (const plane of programs) {
        const found = await findMistake(processes[plane], name);
        const problems = found === undefined ? [] : [describe(found)];
        isCaught =
          seen.caught(`${name}, in the policy of the ${plane} plane's program`, problems, /model/) &&
          isCaught;
      }
    }
    return isCaught;
  });
}

/** One more permission in the running planes' own policy. */
async function plantPermission(subject: Subject, seen: Observations): Promise<boolean> {
  const clusters = await subject.scene(twoClusters);
  const subjects = await subject.scene(matrixSubjects);
  const { policy } = clusters.client.connection;
  const { name, permissions } = operator;
  await policy.updateRole({ name, permissions: [...permissions, "audit.read"] });
  const own = subjects.filter(({ role }) => role === name).slice(0, 1);
  const wrong = wrongCells(await decidedMatrix(clusters, own));
  await policy.updateRole({ name, permissions });
  const atRouter = seen.caught("one more permission in a role, at the router", wrong, /^router.*was allowed/);
  const atControl = seen.caught("the same at the control plane", wrong, /^control plane.*was allowed/);
  return atRouter && atControl;
}
