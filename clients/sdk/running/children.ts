/** The sub-actions of one attempt: enqueued in batches, awaited over one stream, found again after a crash. */
import { createHash } from "node:crypto";
import { MiB } from "@biplane/base";
import * as children from "@biplane/data-wire/gen/biplane/data/v1/children_pb.js";
import { create } from "@bufbuild/protobuf";
import { type Client, createClient, type Transport } from "@connectrpc/connect";
import { Batches } from "./batches.ts";
import { isTerminal } from "./phases.ts";
import { untilAnswered } from "./retry.ts";
import { watchChildren } from "./watch.ts";

type ChildUpdate = children.ChildUpdate;

export interface ChildrenOptions {
  readonly router: Transport;
  readonly run: { org: string; project: string; domain: string; name: string };
  readonly parent: string;
  /** From 1: a later attempt may find what earlier ones started. */
  readonly attempt: number;
  readonly ended: AbortSignal;
  /** Called when the number of open sub-actions leaves or reaches zero. */
  readonly onOpenChange: (open: number) => void;
}

export interface ChildCall {
  readonly name: string;
  readonly group: string;
  readonly taskSpec: Uint8Array;
  readonly inputs: { case: "inline"; value: Uint8Array } | { case: "uri"; value: string };
}

interface Waiting {
  readonly resolve: (update: ChildUpdate) => void;
  readonly reject: (error: unknown) => void;
}

const batchItemsMax = 1_000;
const batchBytesMax = 8 * MiB;
/** Room for a child's name, digest and framing beside its inputs. */
const childOverheadBytes = 256;

export class Children {
  readonly #options: ChildrenOptions;
  readonly #client: Client<typeof children.ChildrenService>;
  readonly #enqueues: Batches<ChildCall>;
  readonly #traces: Batches<children.Trace>;
  readonly #waiting = new Map<string, Waiting>();
  /** Names whose result was handed out: the stream tells them again after each reconnection. */
  readonly #settled = new Set<string>();
  /** Results of earlier attempts that nobody asked for yet. */
  readonly #found = new Map<string, ChildUpdate>();
  readonly #sentSpecs = new Set<string>();
  #snapshot: PromiseWithResolvers<void> | undefined;

  constructor(options: ChildrenOptions) {
    this.#options = options;
    this.#client = createClient(children.ChildrenService, options.router);
    this.#enqueues = new Batches(
      { itemsMax: batchItemsMax, bytesMax: batchBytesMax, sizeOf: sizeOfChild },
      (calls) => this.#enqueue(calls),
    );
    this.#traces = new Batches(
      { itemsMax: batchItemsMax, bytesMax: batchBytesMax, sizeOf: sizeOfTrace },
      (traces) => this.#recordTraces(traces),
    );
  }

  /** Starts the sub-action, or finds it, and resolves to its last state. */
  async run(call: ChildCall): Promise<ChildUpdate> {
    const found = this.#take(call.name);
    if (found !== undefined) return found;
    this.#watch();
    const ended = this.#await(call.name);
    try {
      await this.#enqueues.add(call);
    } catch (error) {
      this.#settle(call.name, (waiting) => waiting.reject(error));
    }
    return ended;
  }

  /** A trace that an earlier attempt recorded; on the first attempt there is none, so nothing is waited for. */
  async findTrace(name: string): Promise<ChildUpdate | undefined> {
    if (this.#options.attempt === 1) return undefined;
    this.#watch();
    await this.#snapshot?.promise;
    return this.#take(name);
  }

  recordTrace(trace: children.Trace): Promise<void> {
    this.#settled.add(trace.name);
    return this.#traces.add(trace);
  }

  #take(name: string): ChildUpdate | undefined {
    const update = this.#found.get(name);
    if (update === undefined) return undefined;
    this.#found.delete(name);
    this.#settled.add(name);
    return update;
  }

  #await(name: string): Promise<ChildUpdate> {
    return new Promise((resolve, reject) => {
      this.#waiting.set(name, { resolve, reject });
      if (this.#waiting.size === 1) this.#options.onOpenChange(1);
    });
  }

  #settle(name: string, finish: (waiting: Waiting) => void): void {
    const waiting = this.#waiting.get(name);
    if (waiting === undefined) return;
    this.#waiting.delete(name);
    this.#settled.add(name);
    if (this.#waiting.size === 0) this.#options.onOpenChange(0);
    finish(waiting);
  }

  #watch(): void {
    if (this.#snapshot !== undefined) return;
    const snapshot = Promise.withResolvers<void>();
    snapshot.promise.catch(() => undefined);
    this.#snapshot = snapshot;
    watchChildren({
      client: this.#client,
      request: { run: this.#options.run, parent: this.#options.parent },
      ended: this.#options.ended,
      onUpdate: (update) => this.#receive(update),
      onSnapshotEnd: () => snapshot.resolve(),
    }).catch((error: unknown) => {
      snapshot.reject(error);
      for (const name of [...this.#waiting.keys()]) this.#settle(name, (waiting) => waiting.reject(error));
    });
  }

  #receive(update: ChildUpdate): void {
    if (!isTerminal(update.phase)) return;
    if (this.#waiting.has(update.name)) this.#settle(update.name, (waiting) => waiting.resolve(update));
    else if (!this.#settled.has(update.name)) this.#found.set(update.name, update);
  }

  async #enqueue(calls: readonly ChildCall[]): Promise<void> {
    const specs = new Map(calls.map((call) => [digestOf(call.taskSpec), call.taskSpec]));
    const newSpecs = [...specs].filter(([digest]) => !this.#sentSpecs.has(digest));
    const request = create(children.EnqueueRequestSchema, {
      run: this.#options.run,
      parent: this.#options.parent,
      children: calls.map((call) => ({
        name: call.name,
        group: call.group,
        taskSpecDigest: Buffer.from(digestOf(call.taskSpec), "hex"),
        inputs: call.inputs,
      })),
      taskSpecs: newSpecs.map(([, spec]) => spec),
    });
    await untilAnswered(this.#options.ended, () => this.#client.enqueue(request));
    for (const [digest] of newSpecs) this.#sentSpecs.add(digest);
  }

  async #recordTraces(traces: readonly children.Trace[]): Promise<void> {
    const { run, parent, ended } = this.#options;
    const request = create(children.RecordTracesRequestSchema, { run, parent, traces: [...traces] });
    await untilAnswered(ended, () => this.#client.recordTraces(request));
  }
}

const digests = new WeakMap<Uint8Array, string>();

function digestOf(spec: Uint8Array): string {
  let digest = digests.get(spec);
  if (digest === undefined) {
    digest = createHash("sha256").update(spec).digest("hex");
    digests.set(spec, digest);
  }
  return digest;
}

function sizeOfChild(call: ChildCall): number {
  return childOverheadBytes + call.inputs.value.length;
}

function sizeOfTrace(trace: children.Trace): number {
  return childOverheadBytes + (trace.result.case === "outputs" ? trace.result.value.byteLength : 0);
}
