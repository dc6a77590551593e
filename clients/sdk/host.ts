/**
 * The seam between the SDK and the worker that runs it in a sandbox. Types only: the worker brings connections and the
 * control socket, the SDK brings everything that a task's code sees. Internal: no user of the SDK calls this.
 */
import type { worker } from "@biplane/data-wire";
import type { Transport } from "@connectrpc/connect";

/** What the executor sent to start one attempt. */
export type WorkerStart = worker.Start;
/** The attempt's one result. */
export type WorkerDone = worker.Done;
/** Where the store is and what opens it. */
export type StoreAccess = worker.StoreAccess;

export interface WorkerHost {
  /** Connect to this cluster's router through the sandbox's own socket; adds the task's current token by itself. */
  readonly router: Transport;
  /** The newest credentials; ask for each request, since they are renewed while a long task runs. */
  readonly storeAccess: () => StoreAccess;
  /** One exchange with the object store through the sandbox's own socket. The SDK has signed the request. */
  readonly store: (request: StoreRequest) => Promise<StoreResponse>;
  /** Whole HTML of the report so far; replaces the one before. */
  readonly sendReport: (html: Uint8Array) => void;
  /** True while all of the task's code awaits sub-actions: the attempt then holds no slot. */
  readonly setWaiting: (waiting: boolean) => void;
  /** Aborts when the executor asked the task to end. */
  readonly cancelled: AbortSignal;
}

export interface StoreRequest {
  readonly method: "GET" | "PUT" | "POST" | "HEAD" | "DELETE";
  /** Path and query as signed, e.g. `/bucket/key?partNumber=1`. */
  readonly path: string;
  /** Lower-case names, `host` and `authorization` included. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | AsyncIterable<Uint8Array>;
}

export interface StoreResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** Has to be read to its end or cancelled with `return()`, so that the connection is free again. */
  readonly body: AsyncIterable<Uint8Array>;
}

/**
 * Runs the attempt's task to its end; never rejects: a failure is a `Done` with an error. `bundle` is what the code
 * bundle's `main.mjs` exports; it was imported just before, so that its tasks are registered.
 */
export type RunTask = (
  start: WorkerStart,
  host: WorkerHost,
  bundle: Readonly<Record<string, unknown>>,
) => Promise<WorkerDone>;
