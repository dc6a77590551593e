/** One connection of the link, from its hello to its end. Every message is in the border ledger before it is sent or obeyed. */
import { BiplaneError, limits } from "@biplane/base";
import {
  type Command,
  CommandAnswerSchema,
  type CommandOutcome,
  type ConnectRequest,
  ConnectRequestSchema,
  type ConnectResponse,
  ConnectResponseSchema,
  documentKindNames,
  HeartbeatSchema,
  HelloSchema,
  type Intent,
  IntentAnswerSchema,
  LinkService,
  nameOfDocumentKind,
  newestProtocolVersion,
  protocolVersions,
  type SignedDocument,
  SignedDocumentSchema,
  type Welcome,
} from "@biplane/control-wire";
import { border } from "@biplane/data-wire";
import type { DocumentKind } from "@biplane/identity";
import { BoundedQueue } from "@biplane/kit";
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { createClient, type Transport } from "@connectrpc/connect";
import type { IntentHandler, Outbox } from "../runs/types.ts";
import { guardDown, guardUp } from "./guard.ts";
import type { BorderLedger } from "./ledger.ts";
import { Uploads } from "./uploads.ts";

export interface ConnectionOptions {
  readonly transport: Transport;
  readonly org: string;
  readonly cluster: string;
  readonly outbox: Outbox;
  readonly intents: IntentHandler;
  readonly onCommand: (command: Command) => Promise<CommandOutcome>;
  readonly documents: LinkDocuments;
  readonly ledger: BorderLedger;
  readonly hello: {
    readonly routerAddress: string;
    readonly region: string;
    readonly softwareVersion: string;
  };
  readonly onWelcome: (welcome: Welcome) => void;
}

/** Signed documents: what is made here goes up, what was made at home comes down. */
export interface LinkDocuments {
  own(): readonly { readonly kind: DocumentKind; readonly jws: string }[];
  /** Returns how to stop being told. */
  onIssued(listener: (kind: DocumentKind, jws: string) => void): () => void;
  receive(kind: DocumentKind, jws: string): Promise<void>;
}

const method = `${LinkService.typeName}/Connect`;
const queueMax = 256;
/** Intents and commands that are being answered: they commit together, so many at once cost little more than one. */
const answeringMax = 256;

/** Resolves when the signal aborts or the control plane ends the stream; throws when the connection breaks. */
export async function runConnection(options: ConnectionOptions, signal: AbortSignal): Promise<void> {
  const ending = new AbortController();
  const connection = new Connection(options, AbortSignal.any([signal, ending.signal]));
  try {
    await connection.run((error) => ending.abort(error));
  } catch (error) {
    if (!signal.aborted) throw ending.signal.aborted ? (ending.signal.reason ?? error) : error;
  } finally {
    ending.abort();
    await connection.settle();
  }
}

class Connection {
  readonly #options: ConnectionOptions;
  readonly #signal: AbortSignal;
  readonly #outgoing = new BoundedQueue<ConnectRequest>(queueMax);
  readonly #incoming = new BoundedQueue<ConnectResponse>(queueMax);
  readonly #answering = new Set<Promise<void>>();
  readonly #uploads: Uploads;
  #uploading: Promise<void> = Promise.resolve();
  #heardAtMs = Date.now();
  #fail: (error: unknown) => void = () => {};
  #stopDocuments: () => void = () => {};

  constructor(options: ConnectionOptions, signal: AbortSignal) {
    this.#options = options;
    this.#signal = signal;
    this.#uploads = new Uploads(options.outbox, (message) => this.#send(message), signal);
    signal.addEventListener("abort", () => this.#stop(), { once: true });
  }

  async run(fail: (error: unknown) => void): Promise<void> {
    this.#fail = fail;
    await this.#send({ case: "hello", value: this.#hello() });
    const timer = setInterval(() => this.#beat(), limits.linkHeartbeatMs);
    try {
      const client = createClient(LinkService, this.#options.transport);
      const responses = client.connect(this.#recorded(), { signal: this.#signal });
      await Promise.all([this.#read(responses), this.#process()]);
    } finally {
      clearInterval(timer);
      this.#stop();
    }
  }

  /** Resolves when nothing of the connection is at work any more. */
  async settle(): Promise<void> {
    this.#stop();
    await Promise.allSettled([this.#uploading, ...this.#answering]);
  }

  /** What goes up, after it is in the ledger. */
  async *#recorded(): AsyncGenerator<ConnectRequest> {
    for await (const group of this.#outgoing.groups(queueMax)) {
      for (const message of group) guardUp(ConnectRequestSchema, message);
      await this.#record(border.Direction.UP, ConnectRequestSchema, group);
      yield* group;
    }
  }

  async #read(responses: AsyncIterable<ConnectResponse>): Promise<void> {
    try {
      for await (const response of responses) {
        this.#heardAtMs = Date.now();
        if (!(await this.#incoming.push(response))) return;
        // Time spent waiting for room is ours: the peer was not silent.
        this.#heardAtMs = Date.now();
      }
    } finally {
      this.#incoming.close();
    }
  }

  async #process(): Promise<void> {
    try {
      for await (const group of this.#incoming.groups(queueMax)) {
        await this.#record(border.Direction.DOWN, ConnectResponseSchema, group);
        for (const message of group) {
          guardDown(ConnectResponseSchema, message);
          await this.#obey(message);
        }
      }
    } finally {
      this.#stop();
    }
  }

  async #obey({ message }: ConnectResponse): Promise<void> {
    switch (message.case) {
      case "welcome":
        return this.#begin(message.value);
      case "ack":
        await this.#options.outbox.acknowledge(message.value.cursor, admissionsOf(message.value.admissions));
        this.#uploads.acknowledged(message.value.cursor);
        return;
      case "intent":
        return this.#answer(() => this.#answerIntent(message.value));
      case "command":
        return this.#answer(() => this.#answerCommand(message.value));
      case "document":
        return this.#takeDocument(message.value);
      case "heartbeat":
        return;
      case undefined:
        throw new BiplaneError("invalid_argument", "The control plane sent an empty message.", {
          reason: "unexpected_message",
        });
    }
  }

  #begin(welcome: Welcome): void {
    if (!(protocolVersions as readonly number[]).includes(welcome.protocolVersion)) {
      throw new BiplaneError(
        "failed_precondition",
        "The control plane speaks an unknown version of the link.",
        {
          reason: "protocol_version",
        },
      );
    }
    this.#options.onWelcome(welcome);
    this.#offerDocuments();
    this.#uploading = this.#uploads.run(welcome).catch((error) => this.#fail(error));
  }

  #offerDocuments(): void {
    const { documents } = this.#options;
    const offer = (kind: DocumentKind, jws: string) => {
      const value = create(SignedDocumentSchema, { kind: documentKindNames[kind], jws });
      // Not awaited: whoever signs does not wait for the link. A later one overtakes none: the queue keeps order.
      void this.#send({ case: "document", value });
    };
    this.#stopDocuments();
    this.#stopDocuments = documents.onIssued(offer);
    for (const { kind, jws } of documents.own()) offer(kind, jws);
  }

  async #takeDocument({ kind, jws }: SignedDocument): Promise<void> {
    const name = nameOfDocumentKind(kind);
    if (name !== undefined) await this.#options.documents.receive(name, jws);
  }

  async #answer(work: () => Promise<void>): Promise<void> {
    while (this.#answering.size >= answeringMax) await Promise.race(this.#answering);
    const answering = work().catch((error) => this.#fail(error));
    const tracked = answering.finally(() => this.#answering.delete(tracked));
    this.#answering.add(tracked);
  }

  async #answerIntent(intent: Intent): Promise<void> {
    const outcome = await this.#options.intents.acceptIntent(intent);
    const { run, fence } = intent;
    const value = create(IntentAnswerSchema, { ...(run === undefined ? {} : { run }), fence, outcome });
    await this.#send({ case: "intentAnswer", value });
  }

  async #answerCommand(command: Command): Promise<void> {
    const outcome = await this.#options.onCommand(command);
    const value = create(CommandAnswerSchema, { id: command.id, outcome });
    await this.#send({ case: "commandAnswer", value });
  }

  #hello() {
    const { org, cluster, outbox, hello } = this.#options;
    return create(HelloSchema, {
      protocolVersion: newestProtocolVersion,
      org,
      cluster,
      incarnation: outbox.incarnation,
      lastSequence: outbox.lastSequence(),
      acknowledgedSequence: outbox.acknowledgedSequence(),
      ...hello,
    });
  }

  #send(message: ConnectRequest["message"]): Promise<boolean> {
    return this.#outgoing.push(create(ConnectRequestSchema, { message }));
  }

  #record(
    direction: border.Direction,
    schema: typeof ConnectRequestSchema | typeof ConnectResponseSchema,
    group: readonly (ConnectRequest | ConnectResponse)[],
  ) {
    return this.#options.ledger.record(group.map((message) => ({ direction, method, schema, message })));
  }

  #beat(): void {
    const now = Date.now();
    const value = create(HeartbeatSchema, { sentAt: timestampFromMs(now) });
    this.#outgoing.tryPush(create(ConnectRequestSchema, { message: { case: "heartbeat", value } }));
    const busy = this.#incoming.length > 0;
    if (!busy && now - this.#heardAtMs > limits.linkSilenceMsMax) {
      this.#fail(
        new BiplaneError("deadline_exceeded", "The control plane is silent.", { reason: "link_silent" }),
      );
    }
  }

  #stop(): void {
    this.#stopDocuments();
    this.#outgoing.close();
    this.#incoming.close();
  }
}

function admissionsOf(
  admissions: Extract<ConnectResponse["message"], { case: "ack" }>["value"]["admissions"],
) {
  return admissions.flatMap(({ run, outcome }) => (run === undefined ? [] : [{ run, outcome }]));
}
