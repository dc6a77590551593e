/** A started sandbox: its limits, and its end. */
import type { ChildProcess } from "node:child_process";
import type { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { setTimeout as delay } from "node:timers/promises";
import type { Cgroup } from "./cgroups.ts";
import { MemoryWatch } from "./memory-watch.ts";
import { childrenOf, processTree, stillRuns } from "./process-tree.ts";
import type { ResourceLimits, Sandbox, SandboxEnd } from "./types.ts";

export interface RunningOptions {
  /** No control group bounds the memory. */
  readonly samples: boolean;
  /** The process leads a process group, since no namespace ends what it leaves behind. */
  readonly ownGroup: boolean;
}

const endMsMax = 5_000;

export class RunningSandbox implements Sandbox {
  readonly process: ChildProcess;
  readonly ended: Promise<SandboxEnd>;
  readonly #cgroup: Cgroup;
  readonly #options: RunningOptions;
  readonly #watch: MemoryWatch;

  constructor(child: ChildProcess, cgroup: Cgroup, options: RunningOptions) {
    this.process = child;
    this.#cgroup = cgroup;
    this.#options = options;
    this.#watch = new MemoryWatch(child.pid ?? 0, () => this.kill());
    const exit = new Promise<{ exitCode?: number; signal?: string }>((resolve) => {
      child.once("error", () => resolve({ signal: "SIGKILL" }));
      child.once("exit", (code, signal) =>
        resolve({ ...(code === null ? {} : { exitCode: code }), ...(signal === null ? {} : { signal }) }),
      );
    });
    const first = options.ownGroup
      ? Promise.resolve(undefined)
      : readFirstProcess(child.stdio[4] as Readable);
    this.ended = exit.then(async (end) => this.#end(end.exitCode, end.signal, await first));
  }

  setLimits(limits: ResourceLimits): void {
    this.#cgroup.apply(limits);
    if (this.#options.samples) this.#watch.limit(limits.memoryBytes);
  }

  memoryExceeded(): boolean {
    return this.#watch.exceeded || this.#cgroup.memoryExceeded;
  }

  /** In a sandbox: outer and inner bubblewrap, then the one process that was started. */
  isAlone(): boolean {
    const pid = this.process.pid;
    if (pid === undefined) return false;
    return processTree(pid).length === (this.#options.ownGroup ? 1 : 3);
  }

  kill(): void {
    const pid = this.process.pid;
    if (pid === undefined || this.process.exitCode !== null || this.process.signalCode !== null) return;
    if (this.#options.ownGroup) killTree(pid);
    // Its namespace goes with it: bubblewrap's --die-with-parent.
    else this.process.kill("SIGKILL");
  }

  async #end(
    exitCode: number | undefined,
    signal: string | undefined,
    first: number | undefined,
  ): Promise<SandboxEnd> {
    this.#watch.stop();
    const memoryExceeded = this.memoryExceeded();
    const pid = this.process.pid;
    if (this.#options.ownGroup && pid !== undefined) killGroup(pid);
    if (first !== undefined) await gone(first);
    this.#cgroup.remove();
    return { exitCode, signal, memoryExceeded };
  }
}

/** bubblewrap tells the namespace's first process on this descriptor; with it everything inside ends. */
async function readFirstProcess(information: Readable): Promise<number | undefined> {
  try {
    const { "child-pid": pid } = JSON.parse(await text(information)) as { "child-pid"?: number };
    return pid;
  } catch {
    // It ended before it made a namespace.
    return undefined;
  }
}

/** bubblewrap itself is gone a moment before the kernel has ended what it started. */
async function gone(pid: number): Promise<void> {
  for (let waitedMs = 0; stillRuns(pid) && waitedMs < endMsMax; waitedMs += 2) await delay(2);
}

/** Without a namespace: its process group and whatever is still found below it. */
function killTree(pid: number): void {
  const tree = [pid, ...childrenOf(pid).flatMap(processTree)];
  killGroup(pid);
  for (const one of tree) tryKill(one);
}

function killGroup(pid: number): void {
  tryKill(-pid);
}

function tryKill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // Ended already.
  }
}
