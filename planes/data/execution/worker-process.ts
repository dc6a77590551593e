/** A worker inside its compartment, as the executor sees it: starts, results, output. It believes nothing it is told. */
import type { Duplex, Readable } from "node:stream";
import { type AttemptId, limits, MiB } from "@biplane/base";
import { worker } from "@biplane/data-wire";
import { frameMessage, MessageSplitter } from "@biplane/kit";
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import type { AttemptOutput, StreamName } from "./attempt-output.ts";
import type { Compartment } from "./compartment.ts";
import type { SandboxEnd } from "./sandbox/types.ts";

/** A result or a report. */
const messageBytesMax = Math.max(limits.requestBytesMax, limits.reportBytesMax) + MiB;
const startupTextBytesMax = 4_096;

export type WorkerResult =
  | { readonly kind: "done"; readonly done: worker.Done }
  | { readonly kind: "ended"; readonly end: SandboxEnd }
  | { readonly kind: "nonsense" };

export interface WorkerTask {
  readonly attempt: AttemptId;
  readonly start: MessageInitShape<typeof worker.StartSchema>;
  readonly output: AttemptOutput;
  readonly waiting: (waiting: boolean) => void;
  readonly report: (html: Uint8Array) => void;
}

type ToWorkerInit = MessageInitShape<typeof worker.ToWorkerSchema>["message"];

export class WorkerProcess {
  readonly compartment: Compartment;
  /** Resolves to false where the process ended before it was ready. */
  readonly ready: Promise<boolean>;
  readonly #control: Duplex;
  readonly #markReady: (ready: boolean) => void;
  #output: AttemptOutput | undefined;
  #task: { task: WorkerTask; finish: (result: WorkerResult) => void } | undefined;
  /** Digests of the bundles that it was sent. */
  readonly #bundles = new Set<string>();
  #ended: SandboxEnd | undefined;
  #startupText = "";

  constructor(compartment: Compartment) {
    this.compartment = compartment;
    const { promise, resolve } = Promise.withResolvers<boolean>();
    this.ready = promise;
    this.#markReady = resolve;
    const { sandbox } = compartment;
    this.#control = sandbox.control!;
    this.#listen();
    this.#readStream("stdout", sandbox.stdout);
    this.#readStream("stderr", sandbox.stderr);
    void sandbox.ended.then((end) => this.#end(end));
  }

  get hasEnded(): boolean {
    return this.#ended !== undefined;
  }

  /** What it printed before its first task: the reason where it never became ready. */
  get startupText(): string {
    return this.#startupText;
  }

  hasBundle(digest: Uint8Array): boolean {
    return this.#bundles.has(Buffer.from(digest).toString("hex"));
  }

  /** One task at a time. */
  run(task: WorkerTask): Promise<WorkerResult> {
    // It may have ended since it was taken; nothing would tell so once more.
    if (this.#ended !== undefined) return Promise.resolve({ kind: "ended", end: this.#ended });
    const { stdout, stderr } = this.compartment.sandbox;
    task.output.attach({
      pause: () => [stdout, stderr].forEach((stream) => void stream.pause()),
      resume: () => [stdout, stderr].forEach((stream) => void stream.resume()),
    });
    this.#output = task.output;
    this.#bundles.add(Buffer.from(task.start.bundleDigest ?? []).toString("hex"));
    this.compartment.attempt = task.attempt;
    return new Promise((resolve) => {
      const finish = (result: WorkerResult) => {
        this.#task = undefined;
        this.compartment.attempt = undefined;
        resolve(result);
      };
      this.#task = { task, finish };
      this.#send({ case: "start", value: create(worker.StartSchema, task.start) });
    });
  }

  /** Later output is nobody's. Call it once the output has settled. */
  detach(): void {
    this.#output = undefined;
  }

  cancel(): void {
    this.#send({ case: "cancel", value: {} });
  }

  renew(token: string, store: MessageInitShape<typeof worker.StoreAccessSchema>): void {
    this.#send({ case: "token", value: { token, store: create(worker.StoreAccessSchema, store) } });
  }

  kill(): void {
    this.compartment.sandbox.kill();
  }

  #listen(): void {
    const splitter = new MessageSplitter(messageBytesMax);
    this.#control.on("data", (chunk: Uint8Array) => {
      try {
        for (const bytes of splitter.push(chunk)) this.#receive(fromBinary(worker.FromWorkerSchema, bytes));
      } catch {
        this.#task?.finish({ kind: "nonsense" });
        this.kill();
      }
    });
    // The process's end says what there is to say.
    this.#control.on("error", () => {});
  }

  #receive({ message }: worker.FromWorker): void {
    if (message.case === "ready") this.#markReady(true);
    else if (message.case === "done") this.#task?.finish({ kind: "done", done: message.value });
    else if (message.case === "waiting") this.#task?.task.waiting(message.value.waiting);
    else if (message.case === "report") this.#task?.task.report(message.value.html);
  }

  #readStream(name: StreamName, stream: Readable): void {
    stream.on("data", (chunk: Buffer) => {
      if (this.#output !== undefined) this.#output.push(name, chunk);
      else if (this.#startupText.length < startupTextBytesMax) this.#startupText += chunk.toString("utf8");
    });
    stream.on("error", () => {});
    stream.on("close", () => this.#output?.finish(name));
  }

  #end(end: SandboxEnd): void {
    this.#ended = end;
    this.#markReady(false);
    this.#task?.finish({ kind: "ended", end });
  }

  #send(message: ToWorkerInit): void {
    if (this.hasEnded || this.#control.destroyed) return;
    const bytes = toBinary(worker.ToWorkerSchema, create(worker.ToWorkerSchema, { message }));
    this.#control.write(frameMessage(bytes));
  }
}
