/** Takes leases from the queue as slots become free, and runs them. On start it settles what a crash left behind. */
import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { availableParallelism, totalmem } from "node:os";
import { join } from "node:path";
import { type AttemptId, BiplaneError, MiB } from "@biplane/base";
import { backoffMs, type Closeable, sleep } from "@biplane/kit";
import { type AttemptRunner, runAttempt } from "./attempt.ts";
import { Compartments } from "./compartment.ts";
import { ContentLoader } from "./content.ts";
import type { ExecutorOptions } from "./dependencies.ts";
import { workerLost } from "./failures.ts";
import { GrantPlanner } from "./grants.ts";
import { type HandedLease, LeasesAhead } from "./leases-ahead.ts";
import { readOutcome, recordOutcome } from "./outcome.ts";
import { WorkerPool } from "./pool.ts";
import { ownHosts } from "./proxy-environment.ts";
import { createLauncher } from "./sandbox/launcher.ts";
import type { Installation, SandboxLauncher } from "./sandbox/types.ts";
import { HeldSlot, Slots } from "./slots.ts";
import { fitsThisNode } from "./snapshot.ts";

export interface Executor extends Closeable {
  readonly sandboxKind: SandboxLauncher["kind"];
}

const sandboxesMost = 256;
const sandboxesLeast = 8;
/** What a worker takes before its task does anything, about. */
const workerBytes = 96 * MiB;
const leaseRetryMs = { firstMs: 500, lastMs: 10_000 };

/** Resolves once interrupted attempts are settled; leases are taken from then on. */
export async function startExecutor(given: ExecutorOptions): Promise<Executor> {
  const options = { memoryBytesDefault: Math.floor(totalmem() / 2), ...given };
  requireWorker(options.installation);
  await mkdir(options.folder, { recursive: true, mode: 0o700 });
  const slots = options.slots ?? availableParallelism();
  const launcher = createLauncher({
    installation: options.installation,
    folder: join(options.folder, "etc"),
    allowUnsandboxed: options.allowUnsandboxed ?? false,
    hasSnapshot: await fitsThisNode(options),
    log: options.log,
  });
  const { entrances, authorityPem, folder } = options;
  const compartments = await Compartments.create(launcher, entrances, authorityPem, folder);
  const sandboxesMax = options.sandboxesMax ?? defaultSandboxes();
  const runner: AttemptRunner = {
    options,
    compartments,
    pool: new WorkerPool({
      compartments,
      blanks: slots,
      sandboxesMax,
      routerEndpoint: options.routerEndpoint,
      ownHosts: ownHosts(options),
    }),
    content: new ContentLoader(options.objects),
    grants: new GrantPlanner(options.runs, options.objects),
  };
  await settleInterrupted(options);
  runner.pool
    .fill()
    .catch((error: unknown) => options.log.error({ event: "no_blank_worker", error }, "no blank worker"));
  return new RunningExecutor(runner, new Slots(slots));
}

/** As many as fit into half of the machine's memory. */
function defaultSandboxes(): number {
  return Math.max(sandboxesLeast, Math.min(sandboxesMost, Math.floor(totalmem() / 2 / workerBytes)));
}

/** Found at the start, not by the first task. */
function requireWorker({ dist }: Installation): void {
  const missing = ["worker.mjs", "sdk.mjs"].find((name) => !existsSync(join(dist, name)));
  if (missing === undefined) return;
  throw new BiplaneError("failed_precondition", {
    what: `The installation lacks ${join(dist, missing)}.`,
    why: "Tasks run in workers that are loaded from there.",
    next: "Run `npm run build`, or install Biplane again.",
  });
}

/** Rule of state 7: what was recorded counts; what was not is lost, and tried again. */
async function settleInterrupted(options: ExecutorOptions): Promise<void> {
  for (const attempt of await options.queue.interrupted()) {
    const failure = { kind: "failure", failure: workerLost(), timedOut: false } as const;
    const outcome =
      (await readOutcome(options.objects, attempt)) ??
      (await recordOutcome(options.objects, attempt, failure, false));
    await noteRestart(options, attempt);
    await options.queue.finish(attempt, outcome);
  }
}

async function noteRestart(options: ExecutorOptions, attempt: AttemptId): Promise<void> {
  const writer = await options.logs.open(attempt);
  const message = "The data plane was restarted while this attempt ran.\n";
  await writer.append([{ atMs: options.clock.now(), originator: "system", message }]);
  await writer.close();
}

class RunningExecutor implements Executor {
  readonly #runner: AttemptRunner;
  readonly #slots: Slots;
  readonly #leases: LeasesAhead;
  readonly #closing = new AbortController();
  readonly #running = new Set<Promise<void>>();
  readonly #leasing: Promise<void>;

  constructor(runner: AttemptRunner, slots: Slots) {
    this.#runner = runner;
    this.#slots = slots;
    this.#leases = new LeasesAhead(runner.options.queue, slots);
    this.#leasing = this.#takeLeases();
  }

  get sandboxKind(): SandboxLauncher["kind"] {
    return this.#runner.compartments.sandboxKind;
  }

  /** Ends what runs; the next start finds those attempts interrupted. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#leasing;
    await this.#leases.close();
    this.#runner.pool.close();
    await this.#runner.compartments.close();
    await Promise.all(this.#running);
  }

  async #takeLeases(): Promise<void> {
    const { signal } = this.#closing;
    for (let failures = 0; !signal.aborted; ) {
      if (!(await this.#slots.acquire(signal))) return;
      try {
        const handed = await this.#leases.next(signal);
        if (handed === undefined) return;
        failures = 0;
        this.#run(handed, new HeldSlot(this.#slots));
      } catch (error) {
        this.#slots.release();
        this.#runner.options.log.error({ event: "lease_failed", error }, "no lease");
        await sleep(backoffMs(failures, leaseRetryMs), signal);
        failures += 1;
      }
    }
  }

  #run({ lease, waited }: HandedLease, slot: HeldSlot): void {
    const { run, action, attempt } = lease;
    const startedAtMs = waited ? this.#runner.options.clock.now() : undefined;
    const running = runAttempt(this.#runner, { lease, startedAtMs }, slot, this.#closing.signal)
      .catch((error: unknown) =>
        this.#runner.options.log.error({ event: "attempt_failed", run, action, attempt, error }, "bug"),
      )
      .finally(() => {
        slot.release();
        this.#running.delete(running);
      });
    this.#running.add(running);
  }
}
