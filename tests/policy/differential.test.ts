/**
 * Both planes' built programs and a model of a few lines decide the same random questions: a sample with every run, a
 * million with `npm run test:policy-differential`. A disagreement prints its seed.
 */
import { DecidingProcess } from "@biplane/verify/policy/deciding-process";
import {
  disagreements,
  findMistake,
  makeRound,
  mistakes,
  questionsPerPolicy,
} from "@biplane/verify/policy/differential";
import { afterAll, beforeAll, expect, test } from "vitest";
import { programPath } from "../support/daemon.ts";

const total = Number(process.env["BIPLANE_POLICY_QUESTIONS"] ?? 20_000);
const firstSeed = Number(process.env["BIPLANE_FAULT_SEED"] ?? Date.now() % 1_000_000_000);
const minutesMax = 30;

let control: DecidingProcess;
let data: DecidingProcess;
beforeAll(() => {
  control = new DecidingProcess(programPath("control"));
  data = new DecidingProcess(programPath("data"));
});
afterAll(() => {
  control?.close();
  data?.close();
});

test(
  `both planes and the model agree on ${total} random questions (claim IAM-2)`,
  async () => {
    const counts = new Map<string, number>();
    let asked = 0;
    for (let seed = firstSeed; asked < total; seed += 1) {
      const round = makeRound(seed, Math.min(questionsPerPolicy, total - asked));
      const found = await Promise.all([disagreements(control, round), disagreements(data, round)]);
      expect(found.flat().slice(0, 3)).toEqual([]);
      for (const word of round.expected) counts.set(word, (counts.get(word) ?? 0) + 1);
      asked += round.questions.length;
    }
    console.log(`seeds from ${firstSeed}:`, Object.fromEntries(counts));
    // Fewer rounds than these need not meet every kind of policy.
    if (total < 20 * questionsPerPolicy) return;
    expect([...counts.keys()].sort()).toEqual(["allowed", "delegated", "denied", "hidden", "stale"]);
    // Questions that nearly everybody would answer alike prove little.
    for (const word of ["allowed", "denied"]) expect(counts.get(word)! / asked).toBeGreaterThan(0.02);
  },
  minutesMax * 60_000,
);

test.each(Object.keys(mistakes))("control: %s is found", async (name) => {
  expect(
    await findMistake(control, name),
    "both agreed, although one was given another policy",
  ).toBeDefined();
});
