/** A real executor over a queue, a store and entrances of the test. */
import { createHash } from "node:crypto";
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { type AttemptId, limits, Secret } from "@biplane/base";
import { flyte } from "@biplane/data-wire";
import { createLogger, newKey, systemClock } from "@biplane/kit";
import { actionInputsKey, codeBundlesPrefix, objectUri } from "@biplane/layout";
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { openLogStore } from "../../logs/log-store.ts";
import { logLimits } from "../../logs/retention.ts";
import type { LogLine } from "../../logs/types.ts";
import type { AttemptOutcome, Lease } from "../../runs/types.ts";
import type { ExecutorOptions } from "../dependencies.ts";
import { type Executor, startExecutor } from "../executor.ts";
import type { SandboxEntrances } from "../types.ts";
import { makeBundle } from "./installation.ts";
import { MemoryObjects } from "./memory-objects.ts";
import { TestQueue } from "./test-queue.ts";

export interface TestTask {
  readonly action: string;
  /** Program of its own; else the task of the bundle. */
  readonly argv?: readonly string[];
  readonly task?: string;
  readonly attempt?: number;
  readonly environment?: Readonly<Record<string, string>>;
  readonly memory?: string;
  readonly cpu?: string;
  readonly timeoutMs?: number;
  readonly outputs?: readonly string[];
  readonly ended?: AbortSignal;
  readonly pins?: readonly { uri: string; sha256: string }[];
  readonly inputs?: MessageInitShape<typeof flyte.task.InputsSchema>;
}

export type TestExecutorOptions = Pick<ExecutorOptions, "installation"> &
  Partial<Omit<ExecutorOptions, "objects">> & { readonly objects?: MemoryObjects };

export class TestExecutor {
  readonly bundleUri = objectUri("biplane", bundleKey);
  readonly objects: MemoryObjects;
  readonly revoked: AttemptId[] = [];
  queue: TestQueue;
  executor!: Executor;
  logs!: Awaited<ReturnType<typeof openLogStore>>;
  readonly #folder: string;

  private constructor(folder: string, queue: TestQueue, objects: MemoryObjects) {
    this.objects = objects;
    this.#folder = folder;
    this.queue = queue;
  }

  static async start(
    given: TestExecutorOptions,
    source: string,
    interrupted: readonly AttemptId[] = [],
  ): Promise<TestExecutor> {
    const folder = await mkdtemp(join(tmpdir(), "biplane-executor-"));
    const test = new TestExecutor(folder, new TestQueue(interrupted), given.objects ?? new MemoryObjects());
    await test.objects.put(bundleKey, makeBundle(source));
    test.logs = await openLogStore({
      folder: join(folder, "logs"),
      systemKey: newKey(),
      keys: oneKey,
      limits: logLimits(),
      clock: systemClock,
      log: createLogger({ component: "test", level: "silent" }),
    });
    await chmod(given.installation.dist, 0o755);
    try {
      test.executor = await startExecutor({ ...test.#options(), ...given });
      return test;
    } catch (error) {
      await test.#remove();
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.executor.close();
    await this.#remove();
  }

  async #remove(): Promise<void> {
    await this.logs.close();
    await rm(this.#folder, { recursive: true, force: true });
  }

  async run(task: TestTask): Promise<AttemptOutcome> {
    const lease = describeLease(task, this.objects);
    await this.objects.put(actionInputsKey(lease), encodeInputs(task));
    return this.queue.submit(lease);
  }

  async lines(task: Pick<TestTask, "action" | "attempt">): Promise<LogLine[]> {
    const lines: LogLine[] = [];
    const tail = this.logs.tail(attemptOf(task), AbortSignal.timeout(20_000));
    for await (const batch of tail) lines.push(...batch);
    return lines;
  }

  async text(task: Pick<TestTask, "action" | "attempt">): Promise<string> {
    return (await this.lines(task)).map((line) => line.message).join("");
  }

  /** Resolves once the running task has printed the text. */
  async untilPrinted(task: Pick<TestTask, "action" | "attempt">, text: string): Promise<void> {
    const signal = AbortSignal.timeout(30_000);
    while (!(await this.logs.has(attemptOf(task)))) await delay(10, undefined, { signal });
    for await (const lines of this.logs.tail(attemptOf(task), signal))
      if (lines.some((line) => line.message.includes(text))) return;
    throw new Error(`${task.action} ended without printing ${text}.`);
  }

  outputs(task: Pick<TestTask, "action" | "attempt">): string {
    const key = `acme/flights/development/r1/${task.action}/${task.attempt ?? 1}/outputs.pb`;
    return Buffer.from(this.objects.contents.get(key) ?? []).toString("utf8");
  }

  #options(): Omit<ExecutorOptions, "installation"> {
    return {
      queue: this.queue,
      runs: { getAction: async (id) => describeLease({ action: id.action }, this.objects).record },
      objects: this.objects,
      grants: { sessionCredentials: () => credentials },
      logs: this.logs,
      tokens: {
        taskTokenMs: limits.taskTokenMs,
        taskToken: async (id) => new Secret(`token-of-${id.action}`),
        revokeAttempt: (id) => void this.revoked.push(id),
      },
      entrances: plainEntrances,
      authorityPem: () => "",
      routerEndpoint: "https://localhost:8443",
      storeEndpoint: "https://localhost:8445",
      folder: join(this.#folder, "execution"),
      clock: systemClock,
      log: createLogger({ component: "test", level: process.env["TEST_LOG"] ?? "silent" }),
      slots: 2,
      // What sandboxes keep out is tested by itself; the rest holds on machines without them, too.
      allowUnsandboxed: true,
    };
  }
}

const bundleKey = `${codeBundlesPrefix({ org: "acme", project: "flights", domain: "development" } as AttemptId)}b.tar.gz`;

const key = newKey();
const oneKey = { current: async () => ({ id: "1", key }), get: async () => key };

const credentials = {
  accessKeyId: "id",
  secretAccessKey: new Secret("secret"),
  sessionToken: new Secret("session"),
};

/** Sockets that answer with the name of who is inside, in plain: TLS is the router's part. */
export const plainEntrances: SandboxEntrances = {
  openRouter: (path, attempt) => listen(path, () => attempt()?.action ?? "nobody"),
  openStore: (path) => listen(path, () => "store"),
  openEgress: (path) => listen(path, () => "egress"),
};

async function listen(path: string, answer: () => string): Promise<{ close(): void }> {
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.end(answer());
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  return server;
}

export function attemptOf(task: Pick<TestTask, "action" | "attempt">): AttemptId {
  const names = { org: "acme", project: "flights", domain: "development", run: "r1", action: task.action };
  return { ...names, attempt: task.attempt ?? 1 } as AttemptId;
}

function describeLease(task: TestTask, objects: MemoryObjects): Lease {
  const id = attemptOf(task);
  const taskSpec = encodeSpec(task, objects.bucket);
  const digest = createHash("sha256").update(taskSpec).digest("hex");
  return {
    ...id,
    record: {
      ...id,
      specDigest: digest,
      inputUri: objectUri(objects.bucket, actionInputsKey(id)),
      taskName: task.task ?? "command",
      taskVersion: "v1",
    },
    runRecord: { createdBy: "ada" },
    taskSpec,
    runSpec: new Uint8Array(0),
    pins: task.pins ?? [],
    runStartTimeMs: 0,
    previousAttempt: id.attempt > 1 ? id.attempt - 1 : undefined,
    ended: task.ended ?? new AbortController().signal,
  } as unknown as Lease;
}

function encodeSpec(task: TestTask, bucket: string): Uint8Array {
  const args = task.argv ?? [
    ...["biplane-worker", "--tgz", objectUri(bucket, bundleKey), "--task", task.task ?? ""],
    ...[
      "--inputs",
      "{{.input}}",
      "--outputs-path",
      "{{.outputPrefix}}",
      "--run-start-time",
      "{{.runStartTime}}",
    ],
  ];
  const entries = [
    ...(task.memory === undefined
      ? []
      : [{ name: flyte.core.Resources_ResourceName.MEMORY, value: task.memory }]),
    ...(task.cpu === undefined ? [] : [{ name: flyte.core.Resources_ResourceName.CPU, value: task.cpu }]),
  ];
  const env = Object.entries(task.environment ?? {}).map(([key, value]) => ({ key, value }));
  const variables = (task.outputs ?? []).map((key) => ({ key }));
  const timeoutMs = task.timeoutMs ?? 0;
  const timeout = { seconds: BigInt(Math.floor(timeoutMs / 1_000)), nanos: (timeoutMs % 1_000) * 1e6 };
  return toBinary(
    flyte.task.TaskSpecSchema,
    create(flyte.task.TaskSpecSchema, {
      taskTemplate: {
        type: task.argv === undefined ? "typescript" : "generic",
        metadata: { timeout },
        interface: { outputs: { variables } },
        target: { case: "container", value: { args: [...args], env, resources: { limits: entries } } },
      },
    }),
  );
}

function encodeInputs(task: TestTask): Uint8Array {
  return toBinary(flyte.task.InputsSchema, create(flyte.task.InputsSchema, task.inputs ?? {}));
}
