/** A router and a store in memory, behind the seam that a worker fills: what a task does is seen, nothing is faked inside. */
import { createHash } from "node:crypto";
import { children, flyte, worker } from "@biplane/data-wire";
import { BoundedQueue } from "@biplane/kit/queue";
import { create, toBinary } from "@bufbuild/protobuf";
import { createRouterTransport } from "@connectrpc/connect";
import type { StoreRequest, StoreResponse, WorkerHost, WorkerStart } from "../host.ts";
import { specificationOf } from "../tasks/specification.ts";
import { definitionOf, type Task } from "../tasks/task.ts";
import { runTask } from "./run-task.ts";

const queueMax = 100_000;

export class FakeCluster {
  readonly enqueued: children.ChildAction[] = [];
  readonly enqueueCalls: number[] = [];
  readonly traces: children.Trace[] = [];
  readonly reports: string[] = [];
  readonly waiting: boolean[] = [];
  readonly objects = new Map<string, Uint8Array>();
  readonly #updates = new Map<string, children.ChildUpdate>();
  readonly #specs = new Map<string, Uint8Array>();
  #watchers: BoundedQueue<children.ChildUpdate>[] = [];
  /** Decides a child's end; by default it runs in this process, as its own attempt. */
  onChild: (child: children.ChildAction) => Promise<children.ChildUpdate> = (child) => this.#runChild(child);

  async run(task: Task, inputs: Uint8Array, attempt = 1, action = "a0"): Promise<worker.Done> {
    const spec = toBinary(flyte.task.TaskSpecSchema, specificationOf(definitionOf(task), place));
    return runTask(startOf(spec, inputs, action, attempt), this.host(), {});
  }

  host(): WorkerHost {
    return {
      router: createRouterTransport((router) => {
        router.service(children.ChildrenService, {
          enqueue: (request) => this.#enqueue(request),
          watch: (_request, context) => this.#watch(context.signal),
          recordTraces: (request) => this.#recordTraces(request),
        });
      }),
      storeAccess: () =>
        create(worker.StoreAccessSchema, {
          endpoint: "https://localhost:1",
          region: "local",
          bucket: "biplane",
          accessKeyId: "key",
          secretAccessKey: "secret",
        }),
      store: (request) => this.#store(request),
      sendReport: (html) => this.reports.push(Buffer.from(html).toString()),
      setWaiting: (waiting) => this.waiting.push(waiting),
      cancelled: new AbortController().signal,
    };
  }

  #enqueue(request: children.EnqueueRequest): children.EnqueueResponse {
    this.enqueueCalls.push(request.children.length);
    for (const spec of request.taskSpecs) this.#specs.set(digestOf(spec), spec);
    for (const child of request.children) {
      if (this.enqueued.some((one) => one.name === child.name)) continue;
      this.enqueued.push(child);
      void this.onChild(child).then((update) => this.publish(update));
    }
    return create(children.EnqueueResponseSchema);
  }

  publish(update: children.ChildUpdate): void {
    this.#updates.set(update.name, update);
    for (const watcher of this.#watchers) watcher.tryPush(update);
  }

  /** Ends all streams, as a router does that is restarted. */
  dropWatches(): void {
    for (const watcher of this.#watchers.splice(0)) watcher.close();
  }

  async *#watch(signal: AbortSignal): AsyncGenerator<children.WatchResponse> {
    const queue = new BoundedQueue<children.ChildUpdate>(queueMax);
    this.#watchers.push(queue);
    signal.addEventListener("abort", () => queue.close());
    const updates = [...this.#updates.values()];
    yield create(children.WatchResponseSchema, { updates, snapshotEnd: true });
    for await (const update of queue) yield create(children.WatchResponseSchema, { updates: [update] });
  }

  #recordTraces(request: children.RecordTracesRequest): children.RecordTracesResponse {
    for (const trace of request.traces) {
      this.traces.push(trace);
      const { name, result } = trace;
      const phase = result.case === "error" ? 6 : 5;
      this.#updates.set(name, create(children.ChildUpdateSchema, { name, phase, result }));
    }
    return create(children.RecordTracesResponseSchema);
  }

  async #runChild(child: children.ChildAction): Promise<children.ChildUpdate> {
    const spec = this.#specs.get(Buffer.from(child.taskSpecDigest).toString("hex"));
    if (spec === undefined) throw new Error("The child's specification never came.");
    const inputs =
      child.inputs.case === "uri"
        ? this.objects.get(child.inputs.value.slice("s3://biplane".length))
        : child.inputs.value;
    const done = await runTask(startOf(spec, inputs ?? new Uint8Array(), child.name, 1), this.host(), {});
    const phase = done.result.case === "outputs" ? 5 : 6;
    return create(children.ChildUpdateSchema, { name: child.name, phase, result: done.result });
  }

  async #store(request: StoreRequest): Promise<StoreResponse> {
    const key = decodeURIComponent(request.path.slice("/biplane".length));
    if (request.method === "PUT") {
      this.objects.set(key, request.body instanceof Uint8Array ? request.body : new Uint8Array());
      return { status: 200, headers: { etag: '"1"' }, body: chunks() };
    }
    const content = this.objects.get(key);
    if (content === undefined)
      return { status: 404, headers: {}, body: chunks(Buffer.from("<Code>NoSuchKey</Code>")) };
    return { status: 200, headers: {}, body: chunks(content) };
  }
}

const place = {
  org: "acme",
  project: "demo",
  domain: "development",
  version: "1",
  bundleUri: "s3://biplane/acme/demo/development/code-bundles/x/bundle.tar.gz",
};
const runBase = "s3://biplane/acme/demo/development/r1";

function startOf(taskSpec: Uint8Array, inputs: Uint8Array, action: string, attempt: number): WorkerStart {
  const prefix = `${runBase}/${action}/${attempt}`;
  return create(worker.StartSchema, {
    org: place.org,
    project: place.project,
    domain: place.domain,
    run: "r1",
    action,
    attempt,
    taskSpec,
    inputs,
    outputsPrefix: prefix,
    rawDataPrefix: `${prefix}/raw`,
    runBase,
    previousCheckpoint: attempt > 1 ? `${runBase}/${action}/${attempt - 1}/_flytecheckpoints` : "",
    runStartTime: "2026-01-02T03:04:05.678Z",
  });
}

async function* chunks(...content: Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* content;
}

function digestOf(spec: Uint8Array): string {
  return createHash("sha256").update(spec).digest("hex");
}
