/** Runs claims or their controls: a few at a time, those that need a place to themselves after all others, each in time. */
import { isBiplaneError } from "@biplane/base";
import type { Claim, ClaimResult, ControlResult } from "./claim.ts";
import { Observations } from "./observations.ts";
import type { Subject } from "./subject.ts";

const atOnce = 2;
const msMaxDefault = 120_000;

export interface Progress {
  begun(id: string): void;
  ended(id: string, word: string): void;
}

export function proveAll(
  claims: readonly Claim[],
  subject: Subject,
  progress: Progress,
): Promise<ClaimResult[]> {
  return runAll(claims, subject, async (claim) => {
    progress.begun(claim.id);
    const result = await prove(claim, subject);
    progress.ended(claim.id, result.status);
    return result;
  });
}

export function controlAll(
  claims: readonly Claim[],
  subject: Subject,
  progress: Progress,
): Promise<ControlResult[]> {
  return runAll(claims, subject, async (claim) => {
    progress.begun(claim.id);
    const result = await control(claim, subject);
    progress.ended(claim.id, result.caught ? "caught" : "not caught");
    return result;
  });
}

/** In the order of the claims, whatever the order in which they ran. */
async function runAll<T>(
  claims: readonly Claim[],
  subject: Subject,
  run: (claim: Claim) => Promise<T>,
): Promise<T[]> {
  const results = new Map<Claim, T>();
  const keep = async (claim: Claim) => {
    results.set(claim, await run(claim));
  };
  await runBeside(
    claims.filter(({ alone }) => alone === undefined),
    subject,
    keep,
  );
  await runBeside(
    claims.filter(({ alone }) => alone !== undefined),
    subject,
    keep,
  );
  return claims.flatMap((claim) => results.get(claim) ?? []);
}

/** Some at once, the earliest first whose places are free. */
async function runBeside(
  claims: readonly Claim[],
  { signal }: Subject,
  run: (claim: Claim) => Promise<void>,
): Promise<void> {
  const waiting = [...claims];
  const running = new Map<Claim, Promise<void>>();
  const isFree = ({ alone = [] }: Claim) =>
    [...running.keys()].every((other) => !alone.some((place) => other.alone?.includes(place)));
  while (!signal.aborted && waiting.length + running.size > 0) {
    const next = running.size < atOnce ? waiting.find(isFree) : undefined;
    if (next === undefined) {
      await Promise.race(running.values());
      continue;
    }
    waiting.splice(waiting.indexOf(next), 1);
    running.set(
      next,
      run(next).finally(() => running.delete(next)),
    );
  }
  await Promise.all(running.values());
}

async function prove(claim: Claim, subject: Subject): Promise<ClaimResult> {
  const { id } = claim;
  if (claim.from === "machine" && subject.remoteBecause !== undefined) {
    return { id, status: "not-applicable", reason: subject.remoteBecause, evidence: [] };
  }
  const seen = new Observations();
  try {
    await within(claim, subject.signal, () => claim.prove(subject, seen));
    return { id, status: "pass", reason: "", evidence: seen.lines };
  } catch (error) {
    return { id, status: "fail", reason: reasonOf(error), evidence: seen.lines };
  }
}

async function control(claim: Claim, subject: Subject): Promise<ControlResult> {
  const { id } = claim;
  const seen = new Observations();
  if (claim.from === "machine" && subject.remoteBecause !== undefined) {
    return { id, caught: false, reason: subject.remoteBecause, evidence: [] };
  }
  try {
    const caught = await within(claim, subject.signal, () => claim.control(subject, seen));
    return { id, caught, reason: caught ? "" : "the check let the violation pass", evidence: seen.lines };
  } catch (error) {
    return { id, caught: false, reason: reasonOf(error), evidence: seen.lines };
  }
}

/** A claim whose time is over has failed; what it began is put back at the end with everything else. */
async function within<T>(claim: Claim, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  const msMax = claim.msMax ?? msMaxDefault;
  let timer: NodeJS.Timeout | undefined;
  const ended = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`It took longer than ${msMax / 1_000} s.`)), msMax);
    signal.addEventListener("abort", () => reject(new Error("It was interrupted.")), { once: true });
  });
  try {
    return await Promise.race([work(), ended]);
  } finally {
    clearTimeout(timer);
  }
}

function reasonOf(error: unknown): string {
  if (isBiplaneError(error)) return error.message;
  return error instanceof Error ? error.message : String(error);
}
