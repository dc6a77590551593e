/** Repeats a call to the router until it answers, as long as another try can help. */

import { backoffMs, sleep } from "@biplane/kit/backoff";
import { Code, ConnectError } from "@connectrpc/connect";

const fatal = new Set([
  Code.InvalidArgument,
  Code.NotFound,
  Code.Aborted,
  Code.PermissionDenied,
  Code.FailedPrecondition,
  Code.Unimplemented,
  Code.OutOfRange,
]);
const triesMax = 100;

export async function untilAnswered<T>(cancelled: AbortSignal, call: () => Promise<T>): Promise<T> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await call();
    } catch (error) {
      const isFatal = fatal.has(ConnectError.from(error).code);
      if (isFatal || cancelled.aborted || attempt + 1 >= triesMax) throw error;
      await sleep(backoffMs(attempt, { firstMs: 200, lastMs: 10_000 }), cancelled);
    }
  }
}
