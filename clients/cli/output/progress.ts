/** How a run fares, live: one line that is rewritten on a terminal, a line now and then anywhere else. */
import type { progress } from "@biplane/data-wire";
import { type Connection, phaseName } from "@biplane/sdk/remote";
import { watchUntil } from "@biplane/sdk/remote/reopening";
import { isTerminal } from "@biplane/sdk/running/phases";
import { span } from "./text.ts";

const plainIntervalMs = 2_000;
const rateWindowMs = 5_000;
const succeeded = new Set([5, 10]);
const failed = new Set([6, 8]);
const aborted = new Set([7]);
const running = new Set([3, 4]);

export function countActions(tasks: readonly progress.TaskProgress[]) {
  const sum = (phases: ReadonlySet<number> | undefined) =>
    tasks
      .flatMap((task) => task.totals)
      .filter((total) => phases === undefined || phases.has(total.phase))
      .reduce((count, total) => count + Number(total.count), 0);
  return {
    total: sum(undefined),
    done: sum(succeeded),
    failed: sum(failed),
    aborted: sum(aborted),
    running: sum(running),
  };
}

export interface RunRef {
  readonly org: string;
  readonly project: string;
  readonly domain: string;
  readonly name: string;
}

/** Resolves when the run has ended. */
export async function showProgress(connection: Connection, run: RunRef, signal?: AbortSignal): Promise<void> {
  const line = new StatusLine();
  const rate = new Rate();
  const startedMs = Date.now();
  let newest: progress.RunProgress | undefined;
  const draw = () => {
    if (newest !== undefined) line.show(describe(newest, rate, Date.now() - startedMs));
  };
  // A line that stands still for minutes looks like a program that does.
  const clock = process.stderr.isTTY ? setInterval(draw, 1_000) : undefined;
  try {
    const open = () => connection.progress.watchProgress({ run }, signal === undefined ? {} : { signal });
    const show = (state: progress.RunProgress) => {
      newest = state;
      draw();
      return isTerminal(state.phase) || undefined;
    };
    await watchUntil(open, show, signal);
    line.end();
  } finally {
    clearInterval(clock);
  }
}

function describe(state: progress.RunProgress, rate: Rate, elapsedMs: number): string {
  const counts = countActions(state.tasks);
  const ended = counts.done + counts.failed + counts.aborted;
  const perSecond = rate.after(ended, elapsedMs);
  const waiting = counts.total - ended - counts.running;
  const parts = [
    `${bar(counts.done, counts.total)} ${counts.done}/${counts.total} actions done`,
    `${counts.running} running`,
    `${waiting} waiting`,
    ...(counts.failed > 0 ? [`${counts.failed} failed`] : []),
    ...(counts.aborted > 0 ? [`${counts.aborted} aborted`] : []),
    ...(perSecond > 0 && counts.total > 1 ? [`${perSecond.toFixed(1)}/s`] : []),
  ];
  // What a narrow terminal cuts off is what matters least.
  return `${phaseName(state.phase)} ${span(elapsedMs)}  ${parts.join(", ")}`;
}

/** Actions that ended per second, over the newest few seconds. */
export class Rate {
  readonly #samples: { readonly atMs: number; readonly done: number }[] = [];

  after(done: number, atMs: number): number {
    this.#samples.push({ atMs, done });
    while (this.#samples.length > 2 && atMs - (this.#samples[1]?.atMs ?? atMs) >= rateWindowMs)
      this.#samples.shift();
    const first = this.#samples[0] ?? { atMs, done };
    const seconds = (atMs - first.atMs) / 1_000;
    return seconds < 0.5 ? 0 : (done - first.done) / seconds;
  }
}

function bar(done: number, total: number): string {
  const width = 20;
  const filled = total === 0 ? 0 : Math.round((done / total) * width);
  return `${"█".repeat(filled)}${"░".repeat(width - filled)}`;
}

/** On standard error, so that results can be piped. */
export class StatusLine {
  #lastMs = 0;
  /** What was not shown yet. */
  #pending = "";

  show(text: string): void {
    if (process.stderr.isTTY) {
      const width = process.stderr.columns ?? 100;
      process.stderr.write(`\r\u001b[2K${text.slice(0, width - 1)}`);
      return;
    }
    this.#pending = text;
    if (Date.now() - this.#lastMs >= plainIntervalMs) this.#flush();
  }

  /** Leaves the newest state on the screen. */
  end(): void {
    if (process.stderr.isTTY) process.stderr.write("\n");
    else this.#flush();
  }

  #flush(): void {
    if (this.#pending !== "") process.stderr.write(`${this.#pending}\n`);
    this.#pending = "";
    this.#lastMs = Date.now();
  }
}
