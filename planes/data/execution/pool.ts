/**
 * Warm workers: blank ones started ahead with the SDK loaded, and idle ones that may run another attempt of the same
 * run, task and secrets. All of them together are bounded.
 */
import { BiplaneError, second } from "@biplane/base";
import type { Compartments } from "./compartment.ts";
import { proxyEnvironment } from "./proxy-environment.ts";
import type { InsidePaths } from "./sandbox/types.ts";
import { WorkerProcess } from "./worker-process.ts";

const idleMsMax = 10 * second;
const refillDelayMs = 50;

export interface PoolOptions {
  readonly compartments: Compartments;
  /** Blank workers kept ready. */
  readonly blanks: number;
  /** `https://host:port` of the router, which workers dial before they have a task. */
  readonly routerEndpoint: string;
  /** Names of router and store, to which no proxy leads. */
  readonly ownHosts: readonly string[];
  /** Workers and cold sandboxes together. */
  readonly sandboxesMax: number;
}

interface IdleWorker {
  readonly worker: WorkerProcess;
  readonly key: string;
  readonly timer: NodeJS.Timeout;
}

export class WorkerPool {
  readonly #options: PoolOptions;
  readonly #blanks: WorkerProcess[] = [];
  readonly #idle: IdleWorker[] = [];
  /** Blank workers on their way. */
  readonly #starting = new Set<Promise<void>>();
  #refill: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: PoolOptions) {
    this.#options = options;
  }

  /** Starts the blank workers that are missing; they need not be ready yet to be taken. */
  async fill(): Promise<void> {
    const missing = this.#options.blanks - this.#blanks.length - this.#starting.size;
    const room = this.#options.sandboxesMax - this.#options.compartments.size;
    await Promise.all(Array.from({ length: Math.max(0, Math.min(missing, room)) }, () => this.#addBlank()));
  }

  /** A ready worker: one that ran the key before, a blank one, or a new one. */
  async take(key: string): Promise<WorkerProcess> {
    const worker = this.#takeIdle(key) ?? (await this.#takeComingBlank()) ?? (await this.#startWithinBound());
    worker.compartment.sandbox.hasten();
    if (await worker.ready) return worker;
    throw new BiplaneError(
      "unavailable",
      {
        what: "A worker could not be started.",
        why: worker.startupText.trim() || "Its process ended before it was ready.",
        next: "Check the installation: `npm run build` makes dist/worker.mjs and dist/sdk.mjs.",
      },
      { reason: "worker_start_failed" },
    );
  }

  /** Keeps it for the key a little while; only a worker whose last task succeeded and left nothing behind. */
  giveBack(worker: WorkerProcess, key: string): void {
    if (this.#closed || worker.hasEnded || !worker.compartment.sandbox.isAlone()) {
      worker.kill();
      return;
    }
    while (this.#idle.length >= this.#options.blanks * 2) this.#evictIdle();
    const timer = setTimeout(() => this.#dropIdle(worker), idleMsMax).unref();
    this.#idle.push({ worker, key, timer });
  }

  /** Starts no more; what runs is ended with the compartments. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#refill);
  }

  /** Room for one more sandbox, made by ending an idle worker where need be. */
  makeRoom(): void {
    if (this.#options.compartments.size < this.#options.sandboxesMax || this.#evictIdle()) return;
    const blank = this.#blanks.pop();
    if (blank === undefined) throw this.#exhausted();
    blank.kill();
  }

  #exhausted(): BiplaneError {
    return new BiplaneError(
      "resource_exhausted",
      {
        what: `All ${this.#options.sandboxesMax} sandboxes are in use.`,
        why: "So many tasks wait for sub-actions of their own.",
        next: "Nest tasks less deeply, or give `biplane data` a higher --sandboxes.",
      },
      { reason: "sandboxes_exhausted" },
    );
  }

  #takeIdle(key: string): WorkerProcess | undefined {
    const at = this.#idle.findIndex((one) => one.key === key && !one.worker.hasEnded);
    if (at < 0) return undefined;
    const [idle] = this.#idle.splice(at, 1);
    clearTimeout(idle?.timer);
    return idle?.worker;
  }

  #takeBlank(): WorkerProcess | undefined {
    const at = this.#blanks.findIndex((one) => !one.hasEnded);
    if (at < 0) return undefined;
    this.#refillSoon();
    return this.#blanks.splice(at, 1)[0];
  }

  /** A moment later: the task that took the blank one starts first. */
  #refillSoon(): void {
    if (this.#closed) return;
    this.#refill ??= setTimeout(() => {
      this.#refill = undefined;
      void this.fill().catch(() => {});
    }, refillDelayMs).unref();
  }

  #addBlank(): Promise<void> {
    const starting = this.#start()
      .then((blank) => void (blank.hasEnded || this.#blanks.push(blank)))
      .finally(() => this.#starting.delete(starting));
    this.#starting.add(starting);
    return starting;
  }

  /** One that is on its way is sooner here than one that is started now. */
  async #takeComingBlank(): Promise<WorkerProcess | undefined> {
    for (;;) {
      const blank = this.#takeBlank();
      if (blank !== undefined || this.#starting.size === 0) return blank;
      await Promise.race(this.#starting).catch(() => {});
    }
  }

  #startWithinBound(): Promise<WorkerProcess> {
    this.makeRoom();
    return this.#start();
  }

  async #start(): Promise<WorkerProcess> {
    const compartment = await this.#options.compartments.open({
      argv: workerArguments,
      environment: (paths) => ({
        BIPLANE_BUNDLES: paths.scratch,
        BIPLANE_ROUTER: this.#options.routerEndpoint,
        ...(this.#options.compartments.sandboxKind === "none"
          ? {}
          : proxyEnvironment(this.#options.ownHosts)),
      }),
      control: true,
      background: true,
      publicAuthorities: false,
    });
    const worker = new WorkerProcess(compartment);
    void compartment.gone.finally(() => this.#forget(worker));
    return worker;
  }

  #forget(worker: WorkerProcess): void {
    const blank = this.#blanks.indexOf(worker);
    if (blank >= 0) this.#blanks.splice(blank, 1);
  }

  #dropIdle(worker: WorkerProcess): void {
    const at = this.#idle.findIndex((one) => one.worker === worker);
    if (at >= 0) this.#idle.splice(at, 1);
    worker.kill();
  }

  #evictIdle(): boolean {
    const oldest = this.#idle.shift();
    if (oldest === undefined) return false;
    clearTimeout(oldest.timer);
    oldest.worker.kill();
    return true;
  }
}

function workerArguments(paths: InsidePaths): readonly string[] {
  const { node, snapshot, worker, sdk, installation } = paths;
  const program = snapshot === undefined ? [worker, sdk] : ["--snapshot-blob", snapshot];
  return [node, ...program, ...(installation === undefined ? [] : [installation])];
}
