/** What the engine reads out of specifications, which otherwise stay the bytes that came in. */
import { BiplaneError, type Digest, limits, parseTaskName, parseTaskVersion } from "@biplane/base";
import { flyte, readSupplement, supplement } from "@biplane/data-wire";
import { fromBinary } from "@bufbuild/protobuf";
import { type Duration, durationMs } from "@bufbuild/protobuf/wkt";
import { digestOf } from "../store/document-rows.ts";

export interface RetryPolicy {
  /** The user's retries, after the first attempt. */
  readonly retries: number;
  readonly baseMs: number;
  readonly factor: number;
  readonly capMs: number;
}

export const noRetries: RetryPolicy = { retries: 0, baseMs: 0, factor: 1, capMs: 0 };

/** Shared by every action of the same task. */
export interface TaskSummary {
  readonly digest: Digest;
  readonly name: string;
  readonly version: string;
  readonly type: string;
  readonly shortName: string;
  readonly environmentName: string;
  readonly retry: RetryPolicy;
}

export interface RunSpecSummary {
  readonly labels: Readonly<Record<string, string>>;
  /** 0: no limit. */
  readonly actionConcurrencyMax: number;
}

const summariesMax = 10_000;
const factorMax = 1_000;
/** What a column takes. */
const concurrencyMax = 2 ** 31 - 1;

/** Parses each specification once; a fan-out sends the same one with every child. */
export class TaskSummaries {
  readonly #byBytes = new WeakMap<Uint8Array, TaskSummary>();
  readonly #byDigest = new Map<Digest, TaskSummary>();

  of(taskSpec: Uint8Array): TaskSummary {
    const known = this.#byBytes.get(taskSpec);
    if (known !== undefined) return known;
    const digest = digestOf(taskSpec);
    const summary = this.#byDigest.get(digest) ?? summarizeTask(taskSpec, digest);
    this.#byBytes.set(taskSpec, summary);
    this.#remember(summary);
    return summary;
  }

  known(digest: Digest): TaskSummary | undefined {
    return this.#byDigest.get(digest);
  }

  #remember(summary: TaskSummary): void {
    this.#byDigest.delete(summary.digest);
    this.#byDigest.set(summary.digest, summary);
    if (this.#byDigest.size <= summariesMax) return;
    for (const oldest of this.#byDigest.keys()) {
      this.#byDigest.delete(oldest);
      break;
    }
  }
}

function summarizeTask(taskSpec: Uint8Array, digest: Digest): TaskSummary {
  const spec = parse(() => fromBinary(flyte.task.TaskSpecSchema, taskSpec), "task");
  const template = spec.taskTemplate;
  const name = template?.id?.name ?? "";
  if (template === undefined || name === "") {
    throw new BiplaneError("invalid_argument", {
      what: "The task's specification names no task.",
      why: "task_template.id.name is empty.",
      next: "Send the specification that your SDK made.",
    });
  }
  const version = template.id?.version ?? "";
  return {
    digest,
    // Both go to the control plane, which takes names only: any other text would end the link for all.
    name: parseTaskName(name),
    version: version === "" ? "" : parseTaskVersion(version),
    type: requireName(template.type, "type"),
    shortName: requireName(spec.shortName, "short name"),
    environmentName: requireName(spec.environment?.name ?? "", "environment's name"),
    retry: retryPolicy(template.metadata?.retries),
  };
}

/** Text without bounds would be held as long as its runs are; one with a zero byte would fail everybody's transaction. */
function requireName(text: string, what: string): string {
  if (text.length <= limits.nameCharactersMax && !text.includes("\0")) return text;
  throw new BiplaneError("invalid_argument", {
    what: `The ${what} in the task's specification can't be taken.`,
    why: `It has at most ${limits.nameCharactersMax} characters, and no zero byte.`,
    next: "Shorten it.",
  });
}

function retryPolicy(strategy: flyte.core.RetryStrategy | undefined): RetryPolicy {
  return {
    retries: Math.min(strategy?.retries ?? 0, limits.retriesMax),
    baseMs: milliseconds(strategy?.backoff?.base),
    // Not a number where a client says so: then as if it had said nothing.
    factor: Math.min(Math.max(1, strategy?.backoff?.factor || 1), factorMax),
    capMs: milliseconds(strategy?.backoff?.cap) || Number.POSITIVE_INFINITY,
  };
}

export function summarizeRunSpec(runSpec: Uint8Array): RunSpecSummary {
  const spec = parse(() => fromBinary(flyte.task.RunSpecSchema, runSpec), "run");
  const { maxActionConcurrency } = readSupplement(spec, supplement.RunSpecSupplementSchema);
  const actionConcurrencyMax = Math.min(maxActionConcurrency, concurrencyMax);
  return { labels: spec.labels?.values ?? {}, actionConcurrencyMax };
}

function milliseconds(duration: Duration | undefined): number {
  return duration === undefined ? 0 : Math.max(0, durationMs(duration));
}

function parse<T>(read: () => T, what: string): T {
  try {
    return read();
  } catch (cause) {
    throw new BiplaneError("invalid_argument", `The ${what}'s specification can't be read.`, { cause });
  }
}
