/** Watches over a running attempt from outside: its time-out, and its end elsewhere. */
import type { AttemptResult } from "./failures.ts";
import { timedOut } from "./failures.ts";

export interface Stoppable {
  /** Asks the task to end; undefined where nothing can be asked. */
  readonly cancel?: () => void;
  /** Ends its whole tree at once. */
  readonly kill: () => void;
}

/** From the request to end until the whole tree is killed. */
const graceMs = 2_000;

/** Runs the work under guard; resolves to what stopped it where something did. */
export async function guardAttempt(
  target: Stoppable,
  options: { readonly timeoutMs: number | undefined; readonly ended: AbortSignal },
  work: Promise<AttemptResult>,
): Promise<AttemptResult> {
  let stopped: AttemptResult | undefined;
  let killTimer: NodeJS.Timeout | undefined;
  const stop = (reason: AttemptResult) => {
    if (stopped !== undefined) return;
    stopped = reason;
    target.cancel?.();
    killTimer = setTimeout(target.kill, target.cancel === undefined ? 0 : graceMs);
  };
  const onEnded = () => stop({ kind: "ended" });
  const { timeoutMs } = options;
  const timer = timeoutMs === undefined ? undefined : laterThan(timeoutMs, () => stop(timedOut(timeoutMs)));
  if (options.ended.aborted) onEnded();
  else options.ended.addEventListener("abort", onEnded, { once: true });
  try {
    const result = await work;
    return stopped ?? result;
  } finally {
    timer?.cancel();
    clearTimeout(killTimer);
    options.ended.removeEventListener("abort", onEnded);
  }
}

/** A timer takes at most 2^31 - 1 ms; a longer one would fire at once. */
function laterThan(ms: number, fire: () => void): { cancel(): void } {
  let left = ms;
  let timer: NodeJS.Timeout;
  const next = () => {
    const step = Math.min(left, 2 ** 31 - 1);
    left -= step;
    timer = setTimeout(left > 0 ? next : fire, step);
    timer.unref();
  };
  next();
  return { cancel: () => clearTimeout(timer) };
}
