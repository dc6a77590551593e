/** The SDK's host for one attempt: connections through the sandbox's sockets, and the control channel. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { BiplaneError, limits } from "@biplane/base";
import * as children from "@biplane/data-wire/gen/biplane/data/v1/children_pb.js";
import * as worker from "@biplane/data-wire/gen/biplane/worker/v1/worker_pb.js";
import { type PreparedTransport, prepareClientTransport } from "@biplane/kit/connect-client";
import type { StoreAccess, StoreRequest, StoreResponse, WorkerHost } from "@biplane/sdk/host";
import { create } from "@bufbuild/protobuf";
import { MethodOptions_IdempotencyLevel } from "@bufbuild/protobuf/wkt";
import type { Interceptor, Transport } from "@connectrpc/connect";
import type { ControlChannel } from "./control.ts";
import { createStoreClient } from "./store-client.ts";

/** Asked for by GET it is no call, and no router answers it. */
const rehearsal = {
  ...children.ChildrenService.method.recordTraces,
  idempotency: MethodOptions_IdempotencyLevel.NO_SIDE_EFFECTS,
} as const;

export interface HostOptions {
  readonly control: ControlChannel;
  readonly socketFolder: string;
  readonly routerEndpoint: string;
}

/** Outlives attempts: a worker that is used again keeps its connections, and its newest token with them. */
export class AttemptHost implements WorkerHost {
  readonly #control: ControlChannel;
  readonly #socketFolder: string;
  readonly #router: PreparedTransport;
  #token = "";
  #store: StoreAccess = create(worker.StoreAccessSchema);
  #cancellation = new AbortController();
  #sendToStore: ((request: StoreRequest) => Promise<StoreResponse>) | undefined;

  constructor(options: HostOptions) {
    this.#control = options.control;
    this.#socketFolder = options.socketFolder;
    this.#router = prepareClientTransport({
      baseUrl: options.routerEndpoint,
      tls: { authorityPem: this.#authorityPem() },
      socketPath: join(this.#socketFolder, "router.sock"),
      interceptors: [this.#authorize],
    });
  }

  /** Dials the router before there is a task, whose first call then waits for nothing. Later calls dial by themselves. */
  async connect(): Promise<void> {
    await this.#router.connect(rehearsal);
  }

  begin(start: worker.Start): void {
    this.#cancellation = new AbortController();
    this.renew(start.token, start.store);
  }

  renew(token: string, store: StoreAccess | undefined): void {
    this.#token = token;
    if (store !== undefined) this.#store = store;
  }

  cancel(): void {
    this.#cancellation.abort(new BiplaneError("canceled", "The action was aborted."));
  }

  get cancelled(): AbortSignal {
    return this.#cancellation.signal;
  }

  get router(): Transport {
    return this.#router.transport;
  }

  readonly storeAccess = (): StoreAccess => this.#store;

  readonly store = (request: StoreRequest): Promise<StoreResponse> => {
    this.#sendToStore ??= createStoreClient({
      socketPath: join(this.#socketFolder, "store.sock"),
      authorityPem: this.#authorityPem(),
      host: new URL(this.#store.endpoint).hostname,
    });
    return this.#sendToStore(request);
  };

  readonly sendReport = (html: Uint8Array): void => {
    if (html.length > limits.reportBytesMax) throw reportTooLarge(html.length);
    void this.#control.send({ case: "report", value: { html } });
  };

  readonly setWaiting = (waiting: boolean): void => {
    void this.#control.send({ case: "waiting", value: { waiting } });
  };

  readonly #authorize: Interceptor = (next) => (request) => {
    request.header.set("authorization", `Bearer ${this.#token}`);
    return next(request);
  };

  #authorityPem(): string {
    return readFileSync(join(this.#socketFolder, "root.pem"), "utf8");
  }
}

function reportTooLarge(bytes: number): BiplaneError {
  return new BiplaneError("resource_exhausted", {
    what: `The report has ${bytes} bytes.`,
    why: `${limits.reportBytesMax} are the most.`,
    next: "Put large data into a File that the report links to.",
  });
}
