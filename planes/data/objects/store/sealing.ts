/** This process's side of the sealing threads: hands them segments of plaintext in shared memory. */
import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import type { Key } from "@biplane/kit";
import type { Digests } from "./digests.ts";
import { type SealingAnswer, type SealingRequest, sealingThread } from "./sealing-thread.ts";
import { Semaphore } from "./semaphore.ts";
import { segmentBytes } from "./stream-cipher.ts";

export interface SealingTarget {
  readonly fileDescriptor: number;
  readonly key: Key;
  readonly associated: string;
  readonly withSha256: boolean;
}

type Finished = Extract<SealingAnswer, { kind: "finished" }>;

interface Waiter {
  readonly buffer: SharedArrayBuffer;
  resolve(answer: Finished | undefined): void;
  reject(error: Error): void;
}

/** One of the process's cores stays with the requests; of two, both are shared, since requests leave much of theirs. */
const threadsMax = Math.max(2, Math.min(4, availableParallelism() - 1));
const spareBuffersMax = 32;
/** Each stream holds a megabyte or two: more wait for their turn. */
const streamsMax = 64;

export class SealingThreads {
  readonly #threads: SealingWorker[] = [];
  readonly #spareBuffers: SharedArrayBuffer[] = [];
  readonly #streams = new Semaphore(streamsMax);
  #lastStream = 0;

  async open(target: SealingTarget): Promise<SealingStream> {
    await this.#streams.take();
    this.#lastStream += 1;
    const { fileDescriptor, key, associated, withSha256 } = target;
    const thread = this.#thread(this.#lastStream % threadsMax);
    thread.send({
      kind: "open",
      stream: this.#lastStream,
      fileDescriptor,
      key: key.reveal(),
      associated,
      withSha256,
    });
    return new SealingStream(this.#lastStream, thread, this);
  }

  takeBuffer(): SharedArrayBuffer {
    return this.#spareBuffers.pop() ?? new SharedArrayBuffer(segmentBytes);
  }

  giveBuffer(buffer: SharedArrayBuffer): void {
    if (this.#spareBuffers.length < spareBuffersMax) this.#spareBuffers.push(buffer);
  }

  streamEnded(): void {
    this.#streams.give();
  }

  async close(): Promise<void> {
    for (const thread of this.#threads.splice(0)) await thread?.terminate();
  }

  /** Started at first use, and again where one has ended. */
  #thread(index: number): SealingWorker {
    const running = this.#threads[index];
    if (running !== undefined && !running.ended) return running;
    const started = new SealingWorker();
    this.#threads[index] = started;
    return started;
  }
}

class SealingWorker {
  readonly #worker: Worker;
  /** Answers come in the order of a stream's segments. */
  readonly #waiters = new Map<number, Waiter[]>();
  ended = false;

  constructor() {
    this.#worker = new Worker(threadFile(), { workerData: sealingThread });
    this.#worker.unref();
    this.#worker.on("message", (answer: SealingAnswer) => this.#settle(answer));
    this.#worker.on("error", (error: Error) => this.#end(error));
    this.#worker.on("exit", () => this.#end(new Error("A sealing thread has ended.")));
  }

  send(request: SealingRequest): void {
    this.#worker.postMessage(request);
  }

  write(request: Extract<SealingRequest, { kind: "segment" }>): Promise<Finished | undefined> {
    if (this.ended) return Promise.reject(new Error("A sealing thread has ended."));
    return new Promise((resolve, reject) => {
      const waiters = this.#waiters.get(request.stream) ?? [];
      waiters.push({ buffer: request.buffer, resolve, reject });
      this.#waiters.set(request.stream, waiters);
      this.#worker.ref();
      this.send(request);
    });
  }

  async terminate(): Promise<void> {
    await this.#worker.terminate();
  }

  #settle(answer: SealingAnswer): void {
    const waiters = this.#waiters.get(answer.stream)!;
    const waiter = waiters.shift()!;
    if (waiters.length === 0) this.#waiters.delete(answer.stream);
    if (this.#waiters.size === 0) this.#worker.unref();
    if (answer.kind === "failed")
      waiter.reject(Object.assign(new Error(answer.message), { code: answer.code }));
    else waiter.resolve(answer.kind === "finished" ? answer : undefined);
  }

  #end(error: Error): void {
    this.ended = true;
    for (const waiters of this.#waiters.values()) for (const waiter of waiters) waiter.reject(error);
    this.#waiters.clear();
  }
}

/** One content on its way to its file. Fills a segment while the one before is being sealed. */
export class SealingStream {
  readonly #id: number;
  readonly #thread: SealingWorker;
  readonly #threads: SealingThreads;
  #writing: Promise<Finished | undefined> = Promise.resolve(undefined);

  constructor(id: number, thread: SealingWorker, threads: SealingThreads) {
    this.#id = id;
    this.#thread = thread;
    this.#threads = threads;
  }

  newSegment(): Uint8Array {
    return new Uint8Array(this.#threads.takeBuffer());
  }

  /** Takes the segment over; resolves when the one before it is on its way to the disk. */
  async write(segment: Uint8Array, bytes: number, last: boolean): Promise<Digests | undefined> {
    await this.#writing;
    const buffer = segment.buffer as SharedArrayBuffer;
    const writing = this.#thread
      .write({ kind: "segment", stream: this.#id, buffer, bytes, last })
      .finally(() => this.#threads.giveBuffer(buffer));
    // A failure is met at the next write; until then it must not count as unhandled.
    writing.catch(() => undefined);
    this.#writing = writing;
    if (!last) return undefined;
    const { sizeBytes, md5, sha256 } = (await writing)!;
    return {
      sizeBytes,
      md5: Buffer.from(md5),
      sha256: sha256 === undefined ? undefined : Buffer.from(sha256),
    };
  }

  /** Waits for what is being written, whatever comes of it, so that the file can be closed. */
  async close(): Promise<void> {
    await this.#writing.catch(() => undefined);
    if (!this.#thread.ended) this.#thread.send({ kind: "close", stream: this.#id });
    this.#threads.streamEnded();
  }
}

/** Beside this file in source; an entry of its own in a bundle. */
function threadFile(): URL {
  const inSource = import.meta.url.endsWith(".ts");
  return new URL(inSource ? "./sealing-thread.ts" : "./sealing-thread.mjs", import.meta.url);
}
