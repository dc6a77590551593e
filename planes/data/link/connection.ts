/** One connection of the link, from its hello to its end. Its transport puts every message into the border ledger. */
import { randomBytes } from "node:crypto";
import { BiplaneError, isBiplaneError, limits } from "@biplane/base";
import {
  type AuditCheckpoint,
  AuditCheckpointSchema,
  AuditCountersignatureSchema,
  type ConnectRequest,
  ConnectRequestSchema,
  type ConnectResponse,
  ConnectResponseSchema,
  documentKindNames,
  HeartbeatSchema,
  HelloSchema,
  IncomingOrder,
  type Intent,
  IntentAnswerSchema,
  LinkService,
  nameOfDocumentKind,
  newestProtocolVersion,
  nonceBytes,
  OutgoingOrder,
  protocolVersions,
  type SignedDocument,
  SignedDocumentSchema,
  sessionOf,
  type Welcome,
} from "@biplane/control-wire";
import type { DocumentKind } from "@biplane/identity";
import { BoundedQueue } from "@biplane/kit";
import type { WitnessPort } from "@biplane/kit/audit-log";
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { createClient, type Transport } from "@connectrpc/connect";
import { requireMetadataRegion } from "../residency/regions.ts";
import type { IntentHandler, Outbox } from "../runs/types.ts";
import { guardDown, guardUp } from "./guard.ts";
import type { LinkRecords } from "./records.ts";
import { neverSent, Uploads } from "./uploads.ts";

export interface ConnectionOptions {
  readonly transport: Transport;
  readonly org: string;
  readonly cluster: string;
  readonly outbox: Outbox;
  readonly intents: IntentHandler;
  readonly documents: LinkDocuments;
  readonly records: LinkRecords;
  readonly hello: {
    readonly routerAddress: string;
    readonly region: string;
    readonly softwareVersion: string;
  };
  /** Where the control plane may be; anywhere where there is none. */
  readonly metadataRegions?: readonly string[];
  readonly witness?: WitnessPort;
  readonly onWelcome: (welcome: Welcome) => void;
}

/** Signed documents: what is made here goes up, what was made at home comes down. */
export interface LinkDocuments {
  own(): readonly { readonly kind: DocumentKind; readonly jws: string }[];
  /** Returns how to stop being told. */
  onIssued(listener: (kind: DocumentKind, jws: string) => void): () => void;
  receive(kind: DocumentKind, jws: string): Promise<void>;
}
type Ack = Extract<ConnectResponse["message"], { case: "ack" }>["value"];

const queueMax = 256;
/** Intents that are being answered: they commit together, so many at once cost little more than one. */
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
  readonly #nonce = new Uint8Array(randomBytes(nonceBytes));
  readonly #sent = new OutgoingOrder();
  readonly #received = new IncomingOrder();
  #isWelcome = false;
  #uploading: Promise<void> = Promise.resolve();
  #witnessing: Promise<void> = Promise.resolve();
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
      const responses = client.connect(this.#numbered(), { signal: this.#signal });
      await Promise.all([this.#read(responses), this.#process()]);
    } finally {
      clearInterval(timer);
      this.#stop();
    }
  }

  /** Resolves when nothing of the connection is at work any more. */
  async settle(): Promise<void> {
    this.#stop();
    await Promise.allSettled([this.#uploading, this.#witnessing, ...this.#answering]);
  }

  /** What goes up, numbered in the order in which it leaves. */
  async *#numbered(): AsyncGenerator<ConnectRequest> {
    for await (const group of this.#outgoing.groups(queueMax)) {
      for (const message of group) {
        this.#sent.stamp(message);
        guardUp(ConnectRequestSchema, message);
      }
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
        for (const message of group) await this.#check(message);
      }
    } finally {
      this.#stop();
    }
  }

  /** What is not obeyed is on record, and ends the connection: nobody knows what else such a peer would send. */
  async #check(message: ConnectResponse): Promise<void> {
    try {
      guardDown(ConnectResponseSchema, message);
      this.#place(message);
      await this.#obey(message);
    } catch (error) {
      if (isRefusal(error)) await this.#options.records.refused(error);
      throw error;
    }
  }

  /** Claim TRUST-3: only the next message of this very connection counts, and a welcome begins it, once. */
  #place(response: ConnectResponse): void {
    const { message } = response;
    if ((message.case === "welcome") === this.#isWelcome) throw outOfPlace();
    if (message.case === "welcome") {
      const session = sessionOf(this.#nonce, message.value.nonce);
      this.#received.begin(session);
      this.#sent.begin(session);
      this.#isWelcome = true;
    }
    this.#received.accept(response);
  }

  async #obey({ message }: ConnectResponse): Promise<void> {
    switch (message.case) {
      case "welcome":
        return this.#begin(message.value);
      case "ack":
        return this.#acknowledge(message.value);
      case "intent":
        return this.#answer(() => this.#answerIntent(message.value));
      case "auditCheckpoint":
        return this.#answer(() => this.#countersign(message.value));
      case "auditCountersignature":
        return this.#options.witness?.answered(message.value);
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

  async #begin(welcome: Welcome): Promise<void> {
    if (!(protocolVersions as readonly number[]).includes(welcome.protocolVersion)) {
      throw new BiplaneError(
        "failed_precondition",
        "The control plane speaks an unknown version of the link.",
        {
          reason: "protocol_version",
        },
      );
    }
    const { outbox, records, metadataRegions } = this.#options;
    requireMetadataRegion(welcome.region, metadataRegions ?? []);
    if (welcome.cursor > outbox.lastSequence()) throw neverSent();
    if (welcome.cursor < outbox.acknowledgedSequence()) await records.rolledBack();
    await records.connected();
    this.#options.onWelcome(welcome);
    this.#offerDocuments();
    this.#uploading = this.#uploads.run(welcome).catch((error) => this.#fail(error));
    this.#witnessing = this.#sendCheckpoints().catch((error) => this.#fail(error));
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

  /** Not waited for: what comes next, often the admitted run's intent, then shares its transaction. */
  async #acknowledge({ cursor, admissions }: Ack): Promise<void> {
    this.#uploads.requireSent(cursor);
    await this.#answer(() => this.#options.outbox.acknowledge(cursor, admissionsOf(admissions)));
    this.#uploads.acknowledged(cursor);
  }

  async #answer(work: () => Promise<void>): Promise<void> {
    while (this.#answering.size >= answeringMax) await Promise.race(this.#answering);
    const answering = work().catch((error) => this.#fail(error));
    const tracked = answering.finally(() => this.#answering.delete(tracked));
    this.#answering.add(tracked);
  }

  async #answerIntent(intent: Intent): Promise<void> {
    const outcome = await this.#options.intents.acceptIntent(intent);
    await this.#options.records.intentAnswered(intent, outcome);
    const { run, fence } = intent;
    const value = create(IntentAnswerSchema, { ...(run === undefined ? {} : { run }), fence, outcome });
    await this.#send({ case: "intentAnswer", value });
  }

  async #sendCheckpoints(): Promise<void> {
    for await (const value of this.#options.witness?.messages(this.#signal) ?? []) {
      await this.#send({
        case: "auditCheckpoint",
        value: create(AuditCheckpointSchema, { ...value, proofHash: [...value.proofHash] }),
      });
    }
  }

  async #countersign(checkpoint: AuditCheckpoint): Promise<void> {
    const answer = await this.#options.witness?.observe(checkpoint);
    if (answer === undefined) return;
    const value = create(AuditCountersignatureSchema, answer);
    await this.#send({ case: "auditCountersignature", value });
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
      nonce: this.#nonce,
      ...hello,
    });
  }

  #send(message: ConnectRequest["message"]): Promise<boolean> {
    return this.#outgoing.push(create(ConnectRequestSchema, { message }));
  }

  #beat(): void {
    const now = Date.now();
    const value = create(HeartbeatSchema, { sentAt: timestampFromMs(now) });
    // Before the welcome there is no session that a heartbeat could belong to.
    if (this.#isWelcome) {
      this.#outgoing.tryPush(create(ConnectRequestSchema, { message: { case: "heartbeat", value } }));
    }
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

/** Of what came down; what breaks a connection otherwise is nobody's message. */
const refusals: ReadonlySet<string> = new Set([
  "unfit_message",
  "unexpected_message",
  "protocol_version",
  "foreign_session",
  "message_replayed",
  "message_out_of_order",
  "never_sent",
]);

function isRefusal(error: unknown): error is BiplaneError {
  return isBiplaneError(error) && refusals.has(error.reason ?? "");
}

function outOfPlace(): BiplaneError {
  return new BiplaneError("invalid_argument", "A link has one welcome, at its beginning.", {
    reason: "unexpected_message",
  });
}

function admissionsOf(admissions: Ack["admissions"]) {
  return admissions.flatMap(({ run, outcome }) => (run === undefined ? [] : [{ run, outcome }]));
}
