/** Runs one TypeScript attempt in a warm worker. */
import { limits } from "@biplane/base";
import { FailureKind } from "@biplane/control-wire";
import type { worker as wire } from "@biplane/data-wire";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { StoreCredentials } from "../objects/types.ts";
import type { Lease } from "../runs/types.ts";
import { guardAttempt } from "./attempt-guard.ts";
import type { AttemptOutput } from "./attempt-output.ts";
import type { AttemptCapabilities, Capabilities } from "./capabilities.ts";
import type { Bundle } from "./content.ts";
import type { ExecutorOptions } from "./dependencies.ts";
import { type AttemptResult, failed, unexpectedEnd, userFailure } from "./failures.ts";
import type { AttemptPlan } from "./plan.ts";
import type { WorkerPool } from "./pool.ts";
import type { ReportWriter } from "./report-writer.ts";
import type { WorkerProcess, WorkerResult } from "./worker-process.ts";

export interface WorkerAttempt {
  readonly options: ExecutorOptions;
  readonly pool: WorkerPool;
  readonly lease: Lease;
  readonly plan: AttemptPlan;
  readonly bundle: Bundle;
  readonly inputs: Uint8Array;
  readonly capabilities: AttemptCapabilities;
  readonly report: ReportWriter;
  readonly output: AttemptOutput;
  readonly waiting: (waiting: boolean) => void;
}

export async function runInWorker(attempt: WorkerAttempt): Promise<AttemptResult> {
  const { pool, output } = attempt;
  const key = reuseKey(attempt.lease);
  const minted = await attempt.capabilities.mint();
  const worker = await pool.take(key);
  const result = await runGuarded(attempt, worker, minted).catch((error: unknown) => {
    worker.kill();
    throw error;
  });
  await output.settle();
  worker.detach();
  if (result.kind === "outputs") pool.giveBack(worker, key);
  else worker.kill();
  return result;
}

/** Same run, same task; tasks have no secrets of their own yet, which would be part of it. */
function reuseKey(lease: Lease): string {
  return [lease.org, lease.project, lease.domain, lease.run, lease.record.specDigest ?? ""].join("/");
}

async function runGuarded(
  attempt: WorkerAttempt,
  worker: WorkerProcess,
  minted: Capabilities,
): Promise<AttemptResult> {
  const { lease, plan, options, capabilities } = attempt;
  const memoryBytes = plan.limits.memoryBytes ?? options.memoryBytesDefault;
  worker.compartment.sandbox.setLimits({ ...plan.limits, memoryBytes });
  const renewed = ({ token, credentials }: Capabilities) =>
    worker.renew(token.reveal(), storeAccess(options, credentials));
  capabilities.renew(renewed, (error) =>
    options.log.warn({ event: "renewal_failed", run: lease.run, action: lease.action, error }, "not renewed"),
  );
  const work = worker
    .run({
      attempt: lease,
      start: describeStart(attempt, worker, minted),
      output: attempt.output,
      waiting: attempt.waiting,
      report: (html) => attempt.report.write(html),
    })
    .then((result) => interpret(result, worker, memoryBytes));
  const target = { cancel: () => worker.cancel(), kill: () => worker.kill() };
  return guardAttempt(target, { timeoutMs: plan.timeoutMs, ended: lease.ended }, work);
}

function describeStart(
  attempt: WorkerAttempt,
  worker: WorkerProcess,
  minted: Capabilities,
): MessageInitShape<typeof wire.StartSchema> {
  const { lease, plan, bundle, inputs, options } = attempt;
  return {
    org: lease.org,
    project: lease.project,
    domain: lease.domain,
    run: lease.run,
    action: lease.action,
    attempt: lease.attempt,
    taskSpec: plan.taskSpec,
    inputs,
    bundle: worker.hasBundle(bundle.digest) ? new Uint8Array(0) : bundle.bytes,
    bundleDigest: bundle.digest,
    environment: { ...plan.environment },
    token: minted.token.reveal(),
    outputsPrefix: plan.outputsPrefix,
    rawDataPrefix: plan.rawDataPrefix,
    runBase: plan.runBase,
    previousCheckpoint: plan.previousCheckpoint,
    store: storeAccess(options, minted.credentials),
    endOfOutput: attempt.output.mark,
    runStartTime: plan.runStartTime,
  };
}

function storeAccess(options: ExecutorOptions, credentials: StoreCredentials) {
  return {
    endpoint: options.storeEndpoint,
    region: options.objects.region,
    bucket: options.objects.bucket,
    accessKeyId: credentials.accessKeyId,
    secretAccessKey: credentials.secretAccessKey.reveal(),
    sessionToken: credentials.sessionToken.reveal(),
  };
}

function interpret(
  result: WorkerResult,
  worker: WorkerProcess,
  memoryBytes: number | undefined,
): AttemptResult {
  if (result.kind === "ended") return unexpectedEnd(result.end, memoryBytes);
  if (result.kind === "nonsense")
    return userFailure("ProtocolViolation", "The task wrote to its worker's control socket.");
  const { result: done } = result.done;
  if (done.case === "outputs") return checkOutputs(done.value);
  if (done.case !== "error") return userFailure("ProtocolViolation", "The worker gave no result.");
  if (worker.compartment.sandbox.memoryExceeded())
    return unexpectedEnd({ exitCode: undefined, signal: undefined, memoryExceeded: true }, memoryBytes);
  const { code, message, recoverable, kind } = done.value;
  return failed({ code, message, recoverable, kind: kind === FailureKind.SYSTEM ? "system" : "user" });
}

function checkOutputs(outputs: Uint8Array): AttemptResult {
  if (outputs.length <= limits.readBytesMax) return { kind: "outputs", outputs };
  const message = `The task's outputs have ${outputs.length} bytes; ${limits.readBytesMax} are the most. Return large data as a File, Dir or DataFrame.`;
  return userFailure("OutputsTooLarge", message, false);
}
