/** The runner: order, time, what can't be judged from where it runs, and what counts as caught. */
import { expect, test } from "vitest";
import type { Claim } from "./claim.ts";
import { controlAll, proveAll } from "./runner.ts";
import type { Subject } from "./subject.ts";

const quiet = { begun: () => undefined, ended: () => undefined };

function subjectAt(remoteBecause?: string, signal = new AbortController().signal): Subject {
  return { remoteBecause, signal } as Subject;
}

function claimOf(id: string, parts: Partial<Claim> = {}): Claim {
  return {
    id,
    text: `${id} holds`,
    from: "client",
    prove: async (_, seen) => seen.none("looked", []),
    control: async (_, seen) => seen.caught("violated", ["a violation"], /violation/),
    ...parts,
  };
}

test("results come in the order of the claims, with what was done and seen", async () => {
  const slow = claimOf("A-1", {
    prove: async (_, seen) => {
      await new Promise((resolve) => setTimeout(resolve, 20));
      seen.holds("waited", true, "it was long");
    },
  });
  const results = await proveAll([slow, claimOf("A-2")], subjectAt(), quiet);
  expect(results).toEqual([
    { id: "A-1", status: "pass", reason: "", evidence: ["waited: it was long."] },
    { id: "A-2", status: "pass", reason: "", evidence: ["looked: nothing against the claim."] },
  ]);
});

test("a claim that does not hold fails with the problems as its reason, one that breaks with its error", async () => {
  const broken = claimOf("A-1", { prove: async (_, seen) => seen.none("searched", ["here", "there"]) });
  const thrown = claimOf("A-2", { prove: () => Promise.reject(new Error("nobody answers")) });
  const results = await proveAll([broken, thrown], subjectAt(), quiet);
  expect(results).toMatchObject([
    { status: "fail", reason: "searched: here; there.", evidence: ["searched: here; there."] },
    { status: "fail", reason: "nobody answers" },
  ]);
});

test("a claim that takes too long fails, and the others go on", async () => {
  const endless = claimOf("A-1", { msMax: 20, prove: () => new Promise(() => undefined) });
  const results = await proveAll([endless, claimOf("A-2")], subjectAt(), quiet);
  expect(results.map(({ status }) => status)).toEqual(["fail", "pass"]);
  expect(results[0]!.reason).toContain("longer than");
});

test("what takes the planes' machine is not applicable elsewhere, with the reason", async () => {
  const machine = claimOf("A-1", { from: "machine" });
  const results = await proveAll([machine, claimOf("A-2")], subjectAt("The planes run elsewhere."), quiet);
  expect(results).toMatchObject([
    { status: "not-applicable", reason: "The planes run elsewhere." },
    { status: "pass" },
  ]);
});

test("a claim that wants to be alone runs while no other does", async () => {
  let running = 0;
  const counting = (id: string, alone: boolean, most: number[]) =>
    claimOf(id, {
      alone,
      prove: async () => {
        running += 1;
        most.push(running);
        await new Promise((resolve) => setTimeout(resolve, 10));
        running -= 1;
      },
    });
  const [together, alone]: [number[], number[]] = [[], []];
  const claims = [
    counting("A-1", true, alone),
    counting("A-2", false, together),
    counting("A-3", false, together),
  ];
  await proveAll([...claims, counting("A-4", false, together)], subjectAt(), quiet);
  expect(alone).toEqual([1]);
  expect(Math.max(...together)).toBe(2);
});

test("a control counts as caught only where the check reported what was done", async () => {
  const blind = claimOf("A-2", {
    control: async (_, seen) => seen.caught("violated", ["something else"], /violation/),
  });
  const failing = claimOf("A-3", { control: () => Promise.reject(new Error("could not violate anything")) });
  const results = await controlAll([claimOf("A-1"), blind, failing], subjectAt(), quiet);
  expect(results.map(({ caught }) => caught)).toEqual([true, false, false]);
  expect(results[2]!.reason).toBe("could not violate anything");
});

test("an interrupted run ends its claims and begins no other", async () => {
  const interrupted = new AbortController();
  const waiting = claimOf("A-1", {
    prove: () => {
      interrupted.abort();
      return new Promise(() => undefined);
    },
  });
  const late = Array.from({ length: 4 }, (_, index) => claimOf(`B-${index}`, { alone: true }));
  const results = await proveAll([waiting, ...late], subjectAt(undefined, interrupted.signal), quiet);
  expect(results.map(({ id, status }) => [id, status])).toEqual([["A-1", "fail"]]);
});
