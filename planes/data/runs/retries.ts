/** Whether a failed attempt is followed by another one, and when. */
import { day, limits, minute, second } from "@biplane/base";
import type { RetryPolicy } from "./specs.ts";
import type { AttemptRecord, RecordedFailure } from "./types.ts";

export type RetryDecision = { readonly kind: "end" } | { readonly kind: "retry"; readonly delayMs: number };

const delayMsMax = 30 * day;
const systemDelay = { baseMs: second, factor: 2, capMs: minute } as const;

/**
 * The user's retries and the platform's are separate budgets: a lost worker does not cost the user a try. `earlier` are
 * the attempts before the one that failed now.
 */
export function decideRetry(
  failure: RecordedFailure,
  earlier: readonly AttemptRecord[],
  policy: RetryPolicy,
): RetryDecision {
  if (!failure.recoverable) return { kind: "end" };
  const used = earlier.filter((attempt) => attempt.failure?.kind === failure.kind).length;
  const budget = failure.kind === "system" ? limits.systemRetriesMax : policy.retries;
  if (used >= budget) return { kind: "end" };
  return { kind: "retry", delayMs: delayMs(used, failure.kind === "system" ? systemDelay : policy) };
}

/** Before retry n (from 0): min(base × factor^n, cap), and never later than a clock can say. */
function delayMs(retry: number, delay: Pick<RetryPolicy, "baseMs" | "factor" | "capMs">): number {
  return Math.round(Math.min(delay.baseMs * delay.factor ** retry, delay.capMs, delayMsMax));
}
