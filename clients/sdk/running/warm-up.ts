/**
 * Runs a task that does what most tasks do, against a router in this process, so that the code on its way is compiled
 * before a snapshot of the memory is taken: a worker that starts from it compiles none of it again. Internal.
 */

import * as flyteCommon from "@biplane/data-wire/flyte/common";
import * as flyteTask from "@biplane/data-wire/flyte/task";
import * as children from "@biplane/data-wire/gen/biplane/data/v1/children_pb.js";
import * as worker from "@biplane/data-wire/gen/biplane/worker/v1/worker_pb.js";
import { create, fromBinary, isMessage, type MessageShape, toBinary } from "@bufbuild/protobuf";
import type { Transport } from "@connectrpc/connect";
import { z } from "zod";
import type { WorkerHost, WorkerStart } from "../host.ts";
import { inputFields, outputType, type TaskDefinition } from "../tasks/definition.ts";
import { map } from "../tasks/map.ts";
import { unregister } from "../tasks/registry.ts";
import { specificationOf, type TaskPlace } from "../tasks/specification.ts";
import { step } from "../tasks/step.ts";
import { definitionOf, type Task, task } from "../tasks/task.ts";
import { encodeInputs, encodeOutputs } from "../values/inputs-outputs.ts";
import { runTask } from "./run-task.ts";

const place: TaskPlace = {
  org: "warm",
  project: "up",
  domain: "development",
  version: "v",
  bundleUri: "s3://b/k",
};
const record = z.object({
  count: z.number().int(),
  share: z.number(),
  name: z.string(),
  isNew: z.boolean(),
  tags: z.array(z.string()),
  note: z.string().optional(),
});
const value: z.infer<typeof record> = { count: 1, share: 0.5, name: "a", isNew: true, tags: ["b"] };

/**
 * Rejects where the task does not succeed, or where a timer was set: in a snapshot, Node takes that for the next one to
 * fire, and no later timer of a worker ever would. Leaves no task behind.
 */
export async function warmUp(): Promise<void> {
  const { setTimeout } = globalThis;
  let timers = 0;
  globalThis.setTimeout = ((...given: Parameters<typeof setTimeout>) => {
    timers += 1;
    return setTimeout(...given);
  }) as typeof setTimeout;
  await runWarmUp().finally(() => {
    globalThis.setTimeout = setTimeout;
  });
  if (timers > 0) throw new Error(`Warming up set ${timers} timers.`);
}

async function runWarmUp(): Promise<void> {
  const part = task({ name: "warm-up-part", input: record, output: record }, async (given) => given);
  const whole = task({ name: "warm-up", input: record, output: z.array(record) }, async (given) => {
    const first = await step("plain", () => ({ count: 1, list: [given.name] }));
    await step("typed", { output: record }, () => given);
    return map(part, [given, { ...given, count: first.count + 1 }]);
  });
  try {
    const done = await runTask(startOf(definitionOf(whole as Task)), host(definitionOf(part as Task)), {});
    if (done.result.case !== "outputs")
      throw new Error("The task that warms up failed.", { cause: done.result.value });
  } finally {
    for (const one of [part, whole]) unregister(definitionOf(one as Task));
  }
}

function startOf(definition: TaskDefinition): WorkerStart {
  return create(worker.StartSchema, {
    ...{ org: place.org, project: place.project, domain: place.domain },
    ...{ run: "warm-up", action: "a0", attempt: 1, runStartTime: "2026-01-01T00:00:00.000Z" },
    taskSpec: toBinary(flyteTask.TaskSpecSchema, specificationOf(definition, place)),
    inputs: toBinary(flyteTask.InputsSchema, encodeInputs(inputFields(definition), value)),
    ...{ outputsPrefix: "s3://b/a0/1", rawDataPrefix: "s3://b/a0/1/raw", runBase: "s3://b/r" },
  });
}

function host(part: TaskDefinition): WorkerHost {
  return {
    router: router(encodeOutputs(outputType(part), value)),
    storeAccess: () => create(worker.StoreAccessSchema),
    store: () => Promise.reject(new Error("There is no store to warm up with.")),
    sendReport: () => {},
    setWaiting: () => {},
    cancelled: new AbortController().signal,
  };
}

/** Every sub-action succeeds at once. Not Connect's own: what it needs of Node can't be kept in a snapshot. */
function router(outputs: Uint8Array): Transport {
  const enqueued = Promise.withResolvers<readonly string[]>();
  const noHeaders = {} as Headers;
  async function* updates() {
    yield create(children.WatchResponseSchema, { snapshotEnd: true });
    const result = { case: "outputs", value: outputs } as const;
    const told = (await enqueued.promise).map((name) => ({
      name,
      phase: flyteCommon.ActionPhase.SUCCEEDED as number,
      result,
    }));
    yield create(children.WatchResponseSchema, { updates: told });
    // A stream that ended would be opened again, after a while.
    await new Promise(() => {});
  }
  return {
    unary: async (method, _signal, _timeoutMs, _header, input) => {
      const request = fromBinary(method.input, toBinary(method.input, create(method.input, input)));
      if (isMessage(request, children.EnqueueRequestSchema)) {
        enqueued.resolve(request.children.map(({ name }) => name));
      }
      const message = create(method.output);
      return {
        stream: false,
        service: method.parent,
        method,
        header: noHeaders,
        trailer: noHeaders,
        message,
      };
    },
    stream: async (method) => {
      const message = updates() as unknown as AsyncIterable<MessageShape<typeof method.output>>;
      return { stream: true, service: method.parent, method, header: noHeaders, trailer: noHeaders, message };
    },
  };
}
