/** Streams that outlive a restart: servers are restarted while runs go on. */
import { sleep } from "@biplane/kit/backoff";
import { Code } from "@connectrpc/connect";
import { isCutConnection } from "./router-transport.ts";

const reopenMs = 500;
/** How long a data plane may be out of reach before a stream is given up: a restart takes seconds. */
const awayMsMax = 120_000;
const passingCodes: ReadonlySet<unknown> = new Set([
  Code.Unavailable,
  Code.DeadlineExceeded,
  Code.Canceled,
  Code.Internal,
]);

/** What the stream tells; where it breaks off it is opened again, and begins from its start. */
export async function* reopening<T>(
  open: () => AsyncIterable<T>,
  signal?: AbortSignal,
): AsyncGenerator<T, void> {
  for (let awaySinceMs: number | undefined; ; ) {
    try {
      for await (const message of open()) {
        awaySinceMs = undefined;
        yield message;
      }
      return;
    } catch (error) {
      awaySinceMs ??= Date.now();
      const isOver = Date.now() - awaySinceMs > awayMsMax;
      if (isOver || signal?.aborted || !isPassing(error)) throw error;
    }
    await sleep(reopenMs, signal);
  }
}

/** The first that `find` makes of what a watch tells; one that ends without it is opened again as well. */
export async function watchUntil<T, R>(
  open: () => AsyncIterable<T>,
  find: (message: T) => R | undefined,
  signal?: AbortSignal,
): Promise<R> {
  for (;;) {
    for await (const message of reopening(open, signal)) {
      const found = find(message);
      if (found !== undefined) return found;
    }
    await sleep(reopenMs, signal);
  }
}

/** Whether a stream's end may be the network's or a restart's doing. */
function isPassing(error: unknown): boolean {
  return passingCodes.has((error as { code?: unknown }).code) || isCutConnection(error);
}
