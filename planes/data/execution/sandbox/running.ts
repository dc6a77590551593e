/** A started sandbox: its limits, and its end. */
import type { Duplex, Readable } from "node:stream";
import type { Cgroup } from "./cgroups.ts";
import { MemoryWatch } from "./memory-watch.ts";
import { childrenOf, processTree } from "./process-tree.ts";
import type { ProcessEnd, Spawned } from "./spawner.ts";
import type { ResourceLimits, Sandbox, SandboxEnd } from "./types.ts";

export interface RunningOptions {
  /** No control group bounds the memory. */
  readonly samples: boolean;
  /** The process leads a process group, since no namespace ends what it leaves behind. */
  readonly ownGroup: boolean;
  /** Called once nothing runs in the groups any more. */
  readonly removeGroups: (folders: readonly string[]) => void;
}

export class RunningSandbox implements Sandbox {
  readonly stdout: Readable;
  readonly stderr: Readable;
  readonly control: Duplex | undefined;
  readonly ended: Promise<SandboxEnd>;
  readonly #spawned: Spawned;
  readonly #cgroup: Cgroup;
  readonly #options: RunningOptions;
  readonly #watch: MemoryWatch;
  #hasEnded = false;

  constructor(spawned: Spawned, cgroup: Cgroup, options: RunningOptions) {
    this.#spawned = spawned;
    this.stdout = spawned.stdout;
    this.stderr = spawned.stderr;
    this.control = spawned.control;
    this.#cgroup = cgroup;
    this.#options = options;
    this.#watch = new MemoryWatch(spawned.pid, () => this.kill());
    this.ended = spawned.ended.then((end) => this.#end(end));
  }

  setLimits(limits: ResourceLimits): void {
    this.#cgroup.apply(limits);
    if (this.#options.samples) this.#watch.limit(limits.memoryBytes);
  }

  hasten(): void {
    if (!this.#hasEnded) this.#cgroup.takeFullShare();
  }

  memoryExceeded(): boolean {
    return this.#watch.exceeded || this.#cgroup.memoryExceeded;
  }

  /** In a sandbox: outer and inner bubblewrap, then the one process that was started. */
  isAlone(): boolean {
    if (this.#hasEnded) return false;
    const count = this.#cgroup.processCount() ?? processTree(this.#spawned.pid).length;
    return count === (this.#options.ownGroup ? 1 : 3);
  }

  kill(): void {
    if (this.#hasEnded) return;
    if (this.#options.ownGroup) killTree(this.#spawned.pid);
    // Its namespace goes with it: bubblewrap's --die-with-parent.
    else this.#spawned.kill();
  }

  #end({ exitCode, signal }: ProcessEnd): SandboxEnd {
    this.#hasEnded = true;
    this.#watch.stop();
    const memoryExceeded = this.memoryExceeded();
    this.#options.removeGroups(this.#cgroup.folders);
    return { exitCode, signal, memoryExceeded };
  }
}

/** Without a namespace: its process group and whatever is still found below it. */
function killTree(pid: number): void {
  const tree = [pid, ...childrenOf(pid).flatMap(processTree)];
  tryKill(-pid);
  for (const one of tree) tryKill(one);
}

function tryKill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // Ended already.
  }
}
