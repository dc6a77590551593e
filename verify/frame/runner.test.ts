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

test("a claim that wants places to itself runs after the others, and beside none that wants one of them", async () => {
  const running = new Set<string>();
  const beside = new Map<string, string[]>();
  const watched = (id: string, alone?: Claim["alone"]) =>
    claimOf(id, {
      ...(alone === undefined ? {} : { alone }),
      prove: async () => {
        running.add(id);
        await new Promise((resolve) => setTimeout(resolve, 20));
        beside.set(id, [...running].sort());
        running.delete(id);
      },
    });
  const claims = [
    watched("A-1", ["planes"]),
    watched("A-2", ["stage", "two clusters"]),
    watched("A-3", ["stage"]),
    watched("B-1"),
    watched("B-2"),
    watched("A-4", ["two clusters"]),
  ];
  const results = await proveAll(claims, subjectAt(), quiet);
  expect(results.map(({ id }) => id)).toEqual(claims.map(({ id }) => id));
  expect(beside.get("B-1")).toEqual(["B-1", "B-2"]);
  expect(beside.get("A-1")).toEqual(["A-1", "A-2"]);
  expect(beside.get("A-3")).toEqual(["A-3", "A-4"]);
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
  const late = Array.from({ length: 4 }, (_, index) => claimOf(`B-${index}`, { alone: ["planes"] }));
  const results = await proveAll([waiting, ...late], subjectAt(undefined, interrupted.signal), quiet);
  expect(results.map(({ id, status }) => [id, status])).toEqual([["A-1", "fail"]]);
});
