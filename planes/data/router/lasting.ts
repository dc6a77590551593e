/**
 * Answers that last: a watch or a log's tail goes on for hours, and the policy changes meanwhile. Each is decided again
 * whenever it does, so that nobody goes on listening who was shut out (claim IAM-1).
 */
import { requireAllowed } from "@biplane/identity";
import { requireNotTakenBack } from "../identity/authenticator.ts";
import type { WatchedPolicy } from "../policy/policy.ts";
import type { Call } from "./call.ts";
import type { CallAudit } from "./call-audit.ts";
import { decideCall } from "./decision.ts";

export interface LastingParts {
  readonly policy: WatchedPolicy;
  readonly audit: CallAudit;
}

/** The messages, until the call would be refused. */
export async function* whileAllowed<T>(
  parts: LastingParts,
  call: Call,
  messages: AsyncIterable<T>,
): AsyncGenerator<T> {
  const iterator = messages[Symbol.asyncIterator]();
  let refusal: unknown;
  let interrupt: (reason: unknown) => void = () => {};
  const decideAgain = () => {
    refusal ??= refusalOf(parts, call);
    if (refusal !== undefined) interrupt(refusal);
  };
  const stop = parts.policy.onChange(decideAgain);
  // Changes between the first decision and this moment told nobody here.
  decideAgain();
  try {
    for (;;) {
      const next = await new Promise<IteratorResult<T>>((resolve, reject) => {
        interrupt = reject;
        iterator.next().then(resolve, reject);
        if (refusal !== undefined) reject(refusal);
      });
      if (next.done === true) return;
      yield next.value;
    }
  } catch (error) {
    if (error === refusal) await parts.audit.refused(call, error);
    throw error;
  } finally {
    stop();
    // Not awaited: one that waits for its next message ends when it comes, or when the request's signal tells it.
    void iterator.return?.().catch(() => {});
  }
}

function refusalOf({ policy }: LastingParts, call: Call): unknown {
  try {
    requireNotTakenBack(policy.bundle, call.principal);
    requireAllowed(decideCall(policy.bundle, call));
    return undefined;
  } catch (error) {
    return error;
  }
}
