/** One leased attempt from its specification to its recorded outcome. */
import { isBiplaneError } from "@biplane/base";
import { backoffMs, sleep } from "@biplane/kit";
import type { AttemptOutcome, Lease } from "../runs/types.ts";
import { AttemptOutput } from "./attempt-output.ts";
import { AttemptCapabilities } from "./capabilities.ts";
import { hasReport, runCommand } from "./command-attempt.ts";
import type { Compartments } from "./compartment.ts";
import type { ContentLoader } from "./content.ts";
import type { ExecutorOptions } from "./dependencies.ts";
import { type AttemptResult, preparationFailure, systemFailure } from "./failures.ts";
import type { GrantPlanner } from "./grants.ts";
import { type RecordableResult, readOutcome, recordOutcome } from "./outcome.ts";
import { type AttemptPlan, planAttempt } from "./plan.ts";
import type { WorkerPool } from "./pool.ts";
import { ReportWriter } from "./report-writer.ts";
import type { HeldSlot } from "./slots.ts";
import { runInWorker } from "./worker-attempt.ts";

const recordRetryMs = { firstMs: 500, lastMs: 10_000 };

export interface AttemptRunner {
  readonly options: ExecutorOptions;
  readonly compartments: Compartments;
  readonly pool: WorkerPool;
  readonly content: ContentLoader;
  readonly grants: GrantPlanner;
}

export interface LeasedAttempt {
  readonly lease: Lease;
  /** Where it begins later than it was leased. */
  readonly startedAtMs: number | undefined;
}

/** Never rejects for what a task does. `closing`: the process is about to end, so nothing is waited for. */
export async function runAttempt(
  runner: AttemptRunner,
  { lease, startedAtMs }: LeasedAttempt,
  slot: HeldSlot,
  closing: AbortSignal,
): Promise<void> {
  const { options } = runner;
  const { clock, log } = options;
  const report = new ReportWriter(options.objects, lease);
  const recorded = await readRecorded(options, lease);
  if (recorded !== undefined) {
    slot.release();
    return options.queue.finish(lease, recorded);
  }
  const output = new AttemptOutput({ writer: await options.logs.open(lease), clock, log });
  const result = await execute({ runner, lease, slot, report, output });
  slot.release();
  const logged = output.close();
  if (result.kind === "ended") {
    await logged;
    return options.queue.finish(lease, abandoned, startedAtMs);
  }
  const reported = await (result.kind === "stored_outputs" ? hasReport(options, lease) : report.finish());
  const [outcome] = await Promise.all([recordUntilDone(options, lease, result, reported, closing), logged]);
  if (outcome !== undefined) await options.queue.finish(lease, outcome, startedAtMs);
}

/**
 * A queue that was restored may hold out an attempt that has run: its recorded outcome counts (rules of state 7, 8).
 * A store that can't tell now is found out by the attempt itself, which records on the condition that nothing was.
 */
async function readRecorded(options: ExecutorOptions, lease: Lease): Promise<AttemptOutcome | undefined> {
  return readOutcome(options.objects, lease).catch(() => undefined);
}

/** A full disk must not lose an outcome: it is tried until it is recorded, or the plane ends and a next attempt runs. */
async function recordUntilDone(
  options: ExecutorOptions,
  lease: Lease,
  result: RecordableResult,
  reported: boolean,
  closing: AbortSignal,
): Promise<AttemptOutcome | undefined> {
  for (let failures = 0; !closing.aborted; failures += 1) {
    try {
      return await recordOutcome(options.objects, lease, result, reported);
    } catch (error) {
      const { run, action, attempt } = lease;
      options.log.error({ event: "outcome_not_recorded", run, action, attempt, error }, "trying again");
      await sleep(backoffMs(failures, recordRetryMs), closing);
    }
  }
  return undefined;
}

/** For a lease whose action has ended already; the queue keeps what it has. */
const abandoned = {
  kind: "failed",
  failure: { code: "Aborted", message: "The action was ended.", kind: "user", recoverable: false },
  hasReport: false,
} as const;

interface Execution {
  readonly runner: AttemptRunner;
  readonly lease: Lease;
  readonly slot: HeldSlot;
  readonly report: ReportWriter;
  readonly output: AttemptOutput;
}

async function execute(execution: Execution): Promise<AttemptResult> {
  const { runner, lease } = execution;
  if (lease.ended.aborted) return { kind: "ended" };
  try {
    const plan = planAttempt(lease, runner.options.objects.bucket);
    const grant = await runner.grants.plan(lease, plan.bundleUri);
    const capabilities = new AttemptCapabilities(runner.options, lease, grant);
    try {
      return await start(execution, plan, capabilities);
    } finally {
      capabilities.end();
    }
  } catch (error) {
    return describeError(runner, lease, error);
  }
}

async function start(
  { runner, lease, slot, report, output }: Execution,
  plan: AttemptPlan,
  capabilities: AttemptCapabilities,
): Promise<AttemptResult> {
  const { options, pool, content, compartments } = runner;
  const shared = { options, lease, plan, capabilities, output };
  if (plan.kind === "command") {
    pool.makeRoom();
    return runCommand({ ...shared, compartments });
  }
  const [bundle, inputs] = await Promise.all([
    content.bundle(lease, plan.bundleUri),
    content.inputs(lease, plan.inputKey),
  ]);
  const waiting = (isWaiting: boolean) => slot.setWaiting(isWaiting);
  return runInWorker({ ...shared, pool, bundle, inputs, report, waiting });
}

function describeError(runner: AttemptRunner, lease: Lease, error: unknown): AttemptResult {
  const { run, action, attempt } = lease;
  runner.options.log.warn({ event: "attempt_not_run", run, action, attempt, error }, "attempt not run");
  if (isBiplaneError(error)) return preparationFailure(error);
  return systemFailure("executor_error", "The executor failed inside; the data plane's log has more.");
}
