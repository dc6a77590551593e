/** Runs any other program cold, in a sandbox of its own, and reads from the store what it made (Flyte's contract). */
import { limits } from "@biplane/base";
import { flyte } from "@biplane/data-wire";
import { errorKey, outputsKey, reportKey } from "@biplane/layout";
import { fromBinary } from "@bufbuild/protobuf";
import type { Lease } from "../runs/types.ts";
import { guardAttempt } from "./attempt-guard.ts";
import type { AttemptOutput } from "./attempt-output.ts";
import type { AttemptCapabilities } from "./capabilities.ts";
import { commandLine, exportStatements } from "./command-line.ts";
import type { Compartment, Compartments } from "./compartment.ts";
import type { ExecutorOptions } from "./dependencies.ts";
import { type AttemptResult, failed, unexpectedEnd, userFailure } from "./failures.ts";
import type { AttemptPlan } from "./plan.ts";
import { ownHosts, proxyEnvironment, proxyPort } from "./proxy-environment.ts";
import type { InsidePaths, Sandbox, SandboxEnd } from "./sandbox/types.ts";

export interface CommandAttempt {
  readonly options: ExecutorOptions;
  readonly compartments: Compartments;
  readonly lease: Lease;
  readonly plan: AttemptPlan;
  readonly capabilities: AttemptCapabilities;
  readonly output: AttemptOutput;
}

/** What is allowed may change while it starts; program and environment have to be of one mind. */
interface Starting extends CommandAttempt {
  readonly hasProxy: boolean;
}

export async function runCommand(given: CommandAttempt): Promise<AttemptResult> {
  const { plan, compartments, lease, output, options } = given;
  const isApart = compartments.sandboxKind !== "none";
  const hasProxy = isApart && options.hasHosts?.(lease.project) === true;
  const attempt = { ...given, hasProxy };
  const chosen = exportStatements(plan.environment);
  const compartment = await compartments.open({
    argv: (paths) => commandLine([...firstProcess(attempt, paths), ...plan.argv]),
    environment: () => ({}),
    control: true,
    background: false,
    publicAuthorities: hasProxy,
  });
  compartment.attempt = lease;
  const result = await runInside(attempt, compartment, chosen).finally(() => compartment.sandbox.kill());
  await output.settle();
  return result;
}

async function runInside(
  attempt: Starting,
  { sandbox, paths }: Compartment,
  chosen: string,
): Promise<AttemptResult> {
  const { options, plan, lease, output } = attempt;
  const memoryBytes = plan.limits.memoryBytes ?? options.memoryBytesDefault;
  sandbox.setLimits({ ...plan.limits, memoryBytes });
  connect(output, sandbox);
  // A program that ends before it has read its environment says so by its exit code.
  sandbox.control!.on("error", () => {}).end(exportStatements(commandEnvironment(attempt, paths)) + chosen);
  const work = sandbox.ended.then((end) => interpret(attempt, end, memoryBytes));
  const guards = { timeoutMs: plan.timeoutMs, ended: lease.ended };
  return guardAttempt({ kill: () => sandbox.kill() }, guards, work);
}

/** Whether the program wrote a report into the store. */
export async function hasReport(options: ExecutorOptions, lease: Lease): Promise<boolean> {
  return (await options.objects.head(reportKey(lease))) !== undefined;
}

/** What starts the program: nothing, where it may connect to nobody; else what serves its proxy. */
function firstProcess({ options, hasProxy }: Starting, { node, firstProcess }: InsidePaths): string[] {
  if (!hasProxy || firstProcess === undefined) return [];
  return [node, firstProcess, String(proxyPort), new URL(options.routerEndpoint).hostname];
}

function connect(output: AttemptOutput, { stdout, stderr }: Sandbox): void {
  const streams = { stdout, stderr };
  output.attach({
    pause: () => Object.values(streams).forEach((stream) => void stream.pause()),
    resume: () => Object.values(streams).forEach((stream) => void stream.resume()),
  });
  for (const name of ["stdout", "stderr"] as const) {
    streams[name].on("data", (chunk: Buffer) => output.push(name, chunk));
    streams[name].on("error", () => {});
    streams[name].on("close", () => output.finish(name));
  }
}

function commandEnvironment(attempt: Starting, paths: InsidePaths): Record<string, string> {
  const { options, plan, capabilities, hasProxy } = attempt;
  const authorities = `${paths.sockets}/${hasProxy ? "authorities" : "root"}.pem`;
  const credentials = capabilities.fixedCredentials(plan.timeoutMs);
  return {
    ...(hasProxy ? { ...proxyEnvironment(ownHosts(options)), NODE_USE_ENV_PROXY: "1" } : {}),
    _U_RUN_BASE: plan.runBase,
    _U_EP_OVERRIDE: options.routerEndpoint,
    AWS_ACCESS_KEY_ID: credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey.reveal(),
    AWS_SESSION_TOKEN: credentials.sessionToken.reveal(),
    AWS_REGION: options.objects.region,
    AWS_ENDPOINT_URL: options.storeEndpoint,
    FLYTE_AWS_ENDPOINT: options.storeEndpoint,
    AWS_CA_BUNDLE: `${paths.sockets}/root.pem`,
    SSL_CERT_FILE: authorities,
    NODE_EXTRA_CA_CERTS: `${paths.sockets}/root.pem`,
    REQUESTS_CA_BUNDLE: authorities,
  };
}

/** In this order: an error document, an exit code, outputs that are missing; else success. */
async function interpret(
  attempt: CommandAttempt,
  end: SandboxEnd,
  memoryBytes: number | undefined,
): Promise<AttemptResult> {
  const { objects } = attempt.options;
  const error = await objects.read(errorKey(attempt.lease), limits.readBytesMax);
  if (error !== undefined) return readError(error);
  if (end.exitCode !== 0 || end.memoryExceeded) return unexpectedEnd(end, memoryBytes);
  const outputs = await objects.read(outputsKey(attempt.lease), limits.readBytesMax);
  if (outputs !== undefined || !attempt.plan.hasOutputs) return { kind: "stored_outputs", outputs };
  return userFailure("outputs_missing", "The program ended with exit code 0 but wrote no outputs.pb.");
}

function readError(bytes: Uint8Array): AttemptResult {
  try {
    const { error } = fromBinary(flyte.core.ErrorDocumentSchema, bytes);
    return failed({
      code: error?.code || "Unknown",
      message: error?.message ?? "",
      kind: error?.origin === flyte.core.ExecutionError_ErrorKind.SYSTEM ? "system" : "user",
      recoverable: error?.kind === flyte.core.ContainerError_Kind.RECOVERABLE,
    });
  } catch {
    return userFailure("error_unreadable", "The program wrote an error.pb that can't be read.");
  }
}
