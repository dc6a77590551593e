/** The data plane's end of the link, message by message, for tests that have to say exactly what crosses. */
import { randomBytes } from "node:crypto";
import {
  type ConnectRequest,
  ConnectRequestSchema,
  type ConnectResponse,
  documentKindNames,
  type EventSchema,
  type HelloSchema,
  LinkService,
  newestProtocolVersion,
  nonceBytes,
  OutgoingOrder,
  Phase,
  sessionOf,
} from "@biplane/control-wire";
import { BoundedQueue } from "@biplane/kit";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { createClient } from "@connectrpc/connect";
import type { TestCluster } from "./control-plane.ts";

type EventInit = MessageInitShape<typeof EventSchema>;
type Case = NonNullable<ConnectResponse["message"]["case"]>;
type ValueOf<C extends Case> = Extract<ConnectResponse["message"], { case: C }>["value"];

const answerMsMax = 15_000;
const unasked: ReadonlySet<string | undefined> = new Set(["heartbeat", "auditCheckpoint", "document"]);
export const project = "flights";
export const domain = "development";

export class LinkPeer {
  readonly cluster: TestCluster;
  readonly #outgoing = new BoundedQueue<ConnectRequest>(10_000);
  readonly #ending = new AbortController();
  readonly #responses: AsyncIterator<ConnectResponse>;
  readonly incarnation: string;
  readonly order = new OutgoingOrder();
  readonly nonce = new Uint8Array(randomBytes(nonceBytes));
  readonly #seen = new Set<string>();

  constructor(cluster: TestCluster, incarnation = "first") {
    this.cluster = cluster;
    this.incarnation = incarnation;
    const client = createClient(LinkService, cluster.transport());
    const responses = client.connect(this.#outgoing, { signal: this.#ending.signal });
    this.#responses = responses[Symbol.asyncIterator]();
  }

  send(message: MessageInitShape<typeof ConnectRequestSchema>["message"]): void {
    this.sendNext(create(ConnectRequestSchema, { message } as never));
  }

  /** A message made by the test itself, unknown fields and all, with the next number. */
  sendNext(message: ConnectRequest): void {
    this.order.stamp(message);
    this.#outgoing.tryPush(message);
  }

  /** The same, as it is. */
  sendRaw(message: ConnectRequest): void {
    this.#outgoing.tryPush(message);
  }

  hello(fields: MessageInitShape<typeof HelloSchema> = {}): void {
    const { org, cluster } = this.cluster.enrollment;
    const value = {
      protocolVersion: newestProtocolVersion,
      org,
      cluster,
      incarnation: this.incarnation,
      lastSequence: 1_000_000n,
      routerAddress: "https://localhost:8443",
      region: "eu-test",
      softwareVersion: "0.1.0",
      nonce: this.nonce,
      ...fields,
    };
    this.send({ case: "hello", value });
  }

  events(events: readonly EventInit[], incarnation = this.incarnation): void {
    this.send({ case: "events", value: { incarnation, events: [...events] } });
  }

  /** The next message of this kind; heartbeats and checkpoints are passed over, any other kind is an error of the test. */
  async next<C extends Case>(wanted: C): Promise<ValueOf<C>> {
    for (;;) {
      const { message } = await this.#take();
      if (message.case === wanted) return message.value as ValueOf<C>;
      if (!unasked.has(message.case)) throw new Error(`Expected ${wanted}, got ${message.case}.`);
    }
  }

  /** The next message of one of these kinds. */
  async nextOf<C extends Case>(
    wanted: readonly C[],
  ): Promise<Extract<ConnectResponse["message"], { case: C }>> {
    for (;;) {
      const { message } = await this.#take();
      if ((wanted as readonly string[]).includes(message.case ?? "")) {
        return message as Extract<ConnectResponse["message"], { case: C }>;
      }
      if (!unasked.has(message.case)) throw new Error(`Expected ${wanted}, got ${message.case}.`);
    }
  }

  /** What ends the stream; undefined for an orderly end. */
  async ended(): Promise<unknown> {
    try {
      for (;;) if ((await this.#responses.next()).done === true) return undefined;
    } catch (error) {
      return error;
    }
  }

  /** Hello, welcome, and an empty snapshot where one is wanted: ready for events. */
  async open(fields: MessageInitShape<typeof HelloSchema> = {}): Promise<number> {
    this.hello(fields);
    const welcome = await this.next("welcome");
    if (!welcome.snapshotWanted) return Number(welcome.cursor);
    this.events([snapshotBegin(1), snapshotEnd(2)]);
    await this.next("ack");
    return 2;
  }

  /** A signed policy, as a home cluster sends it. Resolves once it is kept, and passed on to every cluster. */
  async publishPolicy(jws: string): Promise<void> {
    this.send({ case: "document", value: { kind: documentKindNames.policy, jws } });
    await this.next("document");
  }

  close(): void {
    this.#outgoing.close();
    this.#ending.abort();
  }

  /** Passes over intents that came before: they may come twice, and a data plane takes each once. */
  async #take(): Promise<ConnectResponse> {
    for (;;) {
      const response = await this.#takeAny();
      const { message } = response;
      if (message.case !== "intent") return response;
      const key = `${message.value.run?.name} ${message.value.fence}`;
      if (this.#seen.has(key)) continue;
      this.#seen.add(key);
      return response;
    }
  }

  async #takeAny(): Promise<ConnectResponse> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error("No answer in time.")), answerMsMax);
    });
    try {
      const { value, done } = await Promise.race([this.#responses.next(), late]);
      if (done === true) throw new Error("The stream ended.");
      if (value.message.case === "welcome")
        this.order.begin(sessionOf(this.nonce, value.message.value.nonce));
      return value;
    } finally {
      clearTimeout(timer);
    }
  }
}

export const digestOf = (byte: number) => new Uint8Array(32).fill(byte);

export function runOf(name: string, fields: object = {}) {
  return {
    run: { org: "acme", project, domain, name },
    documentDigest: digestOf(7),
    cluster: "home",
    task: { org: "acme", project, domain, name: "flights.main", version: "v1" },
    createdBy: "subject-1",
    phase: Phase.QUEUED,
    createdAt: timestampFromMs(1_700_000_000_000),
    ...fields,
  };
}

export function actionOf(run: string, name: string, fields: object = {}) {
  return {
    run: { org: "acme", project, domain, name: run },
    name,
    parent: name === "a0" ? "" : "a0",
    kind: 1,
    taskName: "flights.part",
    taskVersion: "v1",
    phase: Phase.RUNNING,
    attempt: 1,
    createdAt: timestampFromMs(1_700_000_000_000),
    ...fields,
  };
}

export function event(sequence: number, change: EventInit["change"]): EventInit {
  return {
    sequence: BigInt(sequence),
    occurredAt: timestampFromMs(1_700_000_000_000 + sequence),
    change,
  } as EventInit;
}

export const runCreated = (sequence: number, name: string, fields: object = {}) =>
  event(sequence, { case: "runCreated", value: runOf(name, fields) });
export const runUpdated = (sequence: number, name: string, fields: object = {}) =>
  event(sequence, { case: "runUpdated", value: runOf(name, fields) });
export const actionUpdated = (sequence: number, run: string, name: string, fields: object = {}) =>
  event(sequence, { case: "actionUpdated", value: actionOf(run, name, fields) });
export const snapshotBegin = (sequence: number) => event(sequence, { case: "snapshotBegin", value: {} });
export const snapshotEnd = (sequence: number) => event(sequence, { case: "snapshotEnd", value: {} });
