/** What an attempt needs, read from its lease: arguments, environment, limits, where its objects are. */
import { BiplaneError, MiB } from "@biplane/base";
import { flyte } from "@biplane/data-wire";
import {
  attemptPrefix,
  checkpointKey,
  objectUri,
  parseObjectUri,
  rawDataPrefix,
  runPrefix,
} from "@biplane/layout";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import type { Lease } from "../runs/types.ts";
import { parseQuantity } from "./quantities.ts";
import type { ResourceLimits } from "./sandbox/types.ts";
import { expandArguments } from "./template.ts";

export interface AttemptPlan {
  /** `worker`: a TypeScript task for a warm worker. `command`: any other program, started cold. */
  readonly kind: "worker" | "command";
  readonly argv: readonly string[];
  /** `flyteidl2.task.TaskSpec` in bytes, its arguments expanded. */
  readonly taskSpec: Uint8Array;
  /** URI of the code bundle; workers only. */
  readonly bundleUri: string | undefined;
  readonly inputKey: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly limits: ResourceLimits;
  /** Of one attempt; undefined: as long as it takes. */
  readonly timeoutMs: number | undefined;
  readonly hasOutputs: boolean;
  readonly outputsPrefix: string;
  readonly rawDataPrefix: string;
  readonly runBase: string;
  readonly checkpointUri: string;
  readonly previousCheckpoint: string;
  readonly runStartTime: string;
}

export const workerProgram = "biplane-worker";
/** Less than this and Node itself would not start. */
const memoryBytesMin = 192 * MiB;

/** Throws `invalid_argument` for a specification that this executor can't run. */
export function planAttempt(lease: Lease, bucket: string): AttemptPlan {
  const spec = fromBinary(flyte.task.TaskSpecSchema, lease.taskSpec);
  const template = spec.taskTemplate;
  const container = template?.target.case === "container" ? template.target.value : undefined;
  if (template === undefined || container === undefined) throw notRunnable("It has no container to run.");
  const places = describePlaces(lease, bucket);
  container.args = expandArguments([...container.command, ...container.args], {
    input: lease.record.inputUri,
    outputPrefix: places.outputsPrefix,
    rawOutputDataPrefix: places.rawDataPrefix,
    checkpointOutputPrefix: places.checkpointUri,
    prevCheckpointPrefix: places.previousCheckpoint,
    runName: lease.run,
    actionName: lease.action,
    runStartTime: places.runStartTime,
  });
  container.command = [];
  const program = container.args[0];
  if (program === undefined) throw notRunnable("Its arguments are empty.");
  const kind = program === workerProgram ? "worker" : "command";
  return {
    kind,
    argv: container.args,
    taskSpec: toBinary(flyte.task.TaskSpecSchema, spec),
    bundleUri: kind === "worker" ? optionValue(container.args, "--tgz") : undefined,
    inputKey: parseObjectUri(lease.record.inputUri).key,
    environment: readEnvironment(lease, container.env),
    limits: readLimits(container.resources),
    timeoutMs: readTimeout(template.metadata),
    hasOutputs: (template.interface?.outputs?.variables.length ?? 0) > 0,
    ...places,
  };
}

function describePlaces(lease: Lease, bucket: string) {
  const previous = lease.previousAttempt;
  return {
    outputsPrefix: withoutSlash(objectUri(bucket, attemptPrefix(lease))),
    rawDataPrefix: withoutSlash(objectUri(bucket, rawDataPrefix(lease))),
    runBase: withoutSlash(objectUri(bucket, runPrefix(lease))),
    checkpointUri: objectUri(bucket, checkpointKey(lease)),
    previousCheckpoint:
      previous === undefined ? "" : objectUri(bucket, checkpointKey({ ...lease, attempt: previous })),
    runStartTime: new Date(lease.runStartTimeMs).toISOString(),
  };
}

/** Clients append `/name` themselves. */
function withoutSlash(uri: string): string {
  return uri.replace(/\/$/, "");
}

/** The run's variables first, then the task's own, then the names that runtimes ask for (Flyte's contract). */
function readEnvironment(lease: Lease, own: readonly flyte.core.KeyValuePair[]): Record<string, string> {
  const run = fromBinary(flyte.task.RunSpecSchema, lease.runSpec).envs?.values ?? [];
  const chosen = Object.fromEntries([...run, ...own].map(({ key, value }) => [key, value]));
  return {
    ...chosen,
    ACTION_NAME: lease.action,
    RUN_NAME: lease.run,
    _U_ORG_NAME: lease.org,
    FLYTE_INTERNAL_EXECUTION_PROJECT: lease.project,
    FLYTE_INTERNAL_EXECUTION_DOMAIN: lease.domain,
    FLYTE_INTERNAL_TASK_NAME: lease.record.taskName,
    FLYTE_INTERNAL_TASK_VERSION: lease.record.taskVersion,
    FLYTE_ATTEMPT_NUMBER: String(lease.attempt - 1),
    _U_USE_ACTIONS: "1",
  };
}

function readLimits(resources: flyte.core.Resources | undefined): ResourceLimits {
  const amount = (name: flyte.core.Resources_ResourceName): number | undefined => {
    const entries = [...(resources?.limits ?? []), ...(resources?.requests ?? [])];
    const entry = entries.find((one) => one.name === name);
    return entry === undefined ? undefined : parseQuantity(entry.value);
  };
  const memoryBytes = amount(flyte.core.Resources_ResourceName.MEMORY);
  return {
    cpus: amount(flyte.core.Resources_ResourceName.CPU),
    memoryBytes: memoryBytes === undefined ? undefined : Math.max(memoryBytesMin, Math.round(memoryBytes)),
  };
}

function readTimeout(metadata: flyte.core.TaskMetadata | undefined): number | undefined {
  const timeout = metadata?.timeout;
  if (timeout === undefined) return undefined;
  const ms = Number(timeout.seconds) * 1_000 + Math.ceil(timeout.nanos / 1e6);
  return ms > 0 ? ms : undefined;
}

function optionValue(argv: readonly string[], option: string): string | undefined {
  const at = argv.indexOf(option);
  return at < 0 ? undefined : argv[at + 1];
}

function notRunnable(why: string): BiplaneError {
  return new BiplaneError(
    "invalid_argument",
    {
      what: "The task can't be run here.",
      why,
      next: "Deploy it again with a client of Biplane or Flyte 2.",
    },
    { reason: "spec_invalid" },
  );
}
