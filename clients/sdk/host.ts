/**
 * What a worker lends the SDK while one task runs. Internal: tasks never see it. The worker owns sockets, tokens and
 * the control channel; the SDK owns tasks, values and sub-actions.
 */
import type { Readable } from "node:stream";
import type { worker } from "@biplane/data-wire";
import type { Transport } from "@connectrpc/connect";

export type WorkerStart = worker.Start;
export type WorkerDone = worker.Done;
export type StoreAccess = worker.StoreAccess;

export interface StoreRequest {
  readonly method: "GET" | "HEAD" | "PUT" | "POST" | "DELETE";
  /** Path and query as they are signed, e.g. `/bucket/key?uploads=`. */
  readonly path: string;
  /** `host` included, as it is signed. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | Readable;
}

export interface StoreResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** Has to be read or destroyed, or its connection is never used again. */
  readonly body: Readable;
}

export interface WorkerHost {
  /** Connect to this cluster's router; calls carry the attempt's newest token. */
  readonly router: Transport;
  /** Aborts when the attempt was cancelled; the process is killed a little later. */
  readonly cancelled: AbortSignal;
  /** Endpoint, bucket and newest credentials of the store; ask again for each request, since they are renewed. */
  storeAccess(): StoreAccess;
  /** One HTTP request to the store through the sandbox's own socket; signing is the caller's. */
  storeRequest(request: StoreRequest): Promise<StoreResponse>;
  /** Replaces the report that was there before. Resolves when it is on its way, so that reports don't pile up. */
  report(html: string): Promise<void>;
  /** Whether all of the task's code waits for sub-actions: a waiting task holds no slot. */
  waiting(waiting: boolean): void;
}

/**
 * Exported by `@biplane/sdk`. `bundle` is the namespace of the code bundle's `main.mjs`, already imported, so that its
 * tasks are registered. The task's name is in the arguments of `start.taskSpec`. Never rejects for what user code does:
 * that is a `Done` with an error.
 */
export type RunTask = (
  start: WorkerStart,
  host: WorkerHost,
  bundle: Readonly<Record<string, unknown>>,
) => Promise<WorkerDone>;
