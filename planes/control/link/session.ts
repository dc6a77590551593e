/**
 * One connection of a cluster. What comes in waits in a short queue, is applied in groups, and only then acknowledged;
 * while the queue is full nothing more is read, so that a fast data plane is slowed down by flow control.
 */
import { BiplaneError, limits } from "@biplane/base";
import {
  type ConnectRequest,
  type ConnectResponse,
  EventAckSchema,
  HeartbeatSchema,
  type Hello,
  type IncomingOrder,
  type Intent,
  type SignedDocument,
} from "@biplane/control-wire";
import { BoundedQueue, type Clock, type Logger } from "@biplane/kit";
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { AuditLogs } from "../audit/audit.ts";
import { recordSeen } from "../clusters/clusters.ts";
import type { ClusterPeer } from "../clusters/peer.ts";
import type { LinkSessions, LiveLink } from "../clusters/sessions.ts";
import type { Store } from "../store/open.ts";
import { type Applied, applyGroup, type Source, type Upward } from "./apply.ts";
import type { DocumentExchange } from "./document-exchange.ts";
import { Downstream, type Message } from "./downstream.ts";
import { DueIntents } from "./due-intents.ts";
import type { Position } from "./positions.ts";
import { admissionOf } from "./unanswered.ts";
import { openLink } from "./welcome.ts";
import { LinkLifecycle, LinkWitness } from "./witness.ts";

export interface LinkDependencies {
  readonly store: Store;
  readonly audit: AuditLogs;
  readonly sessions: LinkSessions;
  readonly documents: DocumentExchange;
  readonly clock: Clock;
  readonly log: Logger;
  readonly region: string;
}

type Incoming = Upward | { readonly kind: "document"; readonly document: SignedDocument };

/** Answers come by the hundred; of batches, which are large, no more than the protocol allows is taken. */
const incomingMax = 256;
const seenEveryMs = 30_000;

/** A connection whose hello was read. */
export interface Opened {
  readonly requests: AsyncIterator<ConnectRequest>;
  readonly received: IncomingOrder;
}

export class LinkSession implements LiveLink {
  readonly #dependencies: LinkDependencies;
  readonly #peer: ClusterPeer;
  readonly #requests: AsyncIterator<ConnectRequest>;
  readonly #incoming = new BoundedQueue<Incoming>(incomingMax);
  readonly #downstream: Downstream;
  readonly #due: DueIntents;
  readonly #received: IncomingOrder;
  readonly #lifecycle = new LinkLifecycle();
  #witness: LinkWitness | undefined;
  readonly #timer: NodeJS.Timeout;
  #working: Promise<void> = Promise.resolve();
  #failure: unknown;
  #unacknowledged = 0;
  #heardAtMs: number;
  #seenAtMs: number;

  constructor(dependencies: LinkDependencies, peer: ClusterPeer, { requests, received }: Opened) {
    this.#dependencies = dependencies;
    this.#peer = peer;
    this.#requests = requests;
    this.#received = received;
    this.#heardAtMs = this.#seenAtMs = dependencies.clock.now();
    this.#downstream = new Downstream(dependencies.clock);
    this.#due = new DueIntents(this.#source, dependencies.clock, this.#downstream);
    this.#timer = setInterval(() => this.#beat(), limits.linkHeartbeatMs);
  }

  /** What goes down to the data plane, until the link ends; throws what ended it. */
  async *run(hello: Hello): AsyncGenerator<ConnectResponse> {
    this.#working = this.#work(hello);
    try {
      yield* this.#downstream.messages();
    } finally {
      this.#stop();
    }
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** The connection broke. Whoever reads `run` may never ask again, so that this has to be told. */
  abandon(): void {
    this.#fail(new BiplaneError("canceled", "The data plane went away.", { reason: "link_gone" }));
  }

  sendDocument(document: SignedDocument): void {
    const isSent = this.#downstream.sendNewest(`document ${document.kind}`, {
      case: "document",
      value: document,
    });
    if (!isSent && this.#failure === undefined) this.#fail(notReading());
  }

  async end(reason: "replaced" | "shutdown"): Promise<void> {
    const texts = {
      replaced: ["aborted", "A newer connection of the same cluster took over."],
      shutdown: ["unavailable", "The control plane is shutting down."],
    } as const;
    const [code, text] = texts[reason];
    this.#fail(new BiplaneError(code, text, { reason: `link_${reason}` }));
    await this.#working;
  }

  get #source(): Source {
    const { org, cluster } = this.#peer;
    return { store: this.#dependencies.store, org, cluster };
  }

  async #work(hello: Hello): Promise<void> {
    const { sessions } = this.#dependencies;
    const { org, cluster } = this.#peer;
    try {
      await sessions.enter(org, cluster, this);
      if (this.#failure !== undefined) return;
      const { position, messages, session } = await openLink(this.#dependencies, this.#peer, hello);
      this.#received.begin(session);
      this.#downstream.begin(session);
      for (const message of messages) this.#sendNow(message);
      for (const document of await this.#dependencies.documents.newest(org)) this.sendDocument(document);
      if (position.state === "current") this.#sendDue();
      const peer = await this.#dependencies.audit.witnessOf(org, cluster);
      this.#witness = new LinkWitness(peer, this.#downstream, (error) => this.#fail(error));
      // Not awaited: it ends when the peer speaks or goes, and this link may have to end before.
      void this.#read();
      await this.#apply(position);
    } catch (error) {
      this.#fail(error);
    } finally {
      await this.#witness?.close();
      await this.#due.settle();
      sessions.leave(org, cluster, this);
    }
  }

  async #read(): Promise<void> {
    try {
      for (;;) {
        const { value, done } = await this.#requests.next();
        if (done === true) break;
        this.#heardAtMs = this.#dependencies.clock.now();
        this.#received.accept(value);
        if (this.#witness?.take(value.message) === true) continue;
        const item = upwardOf(value);
        if (item?.kind === "events") this.#countBatch();
        if (item !== undefined && !(await this.#incoming.push(item))) break;
        // Time spent waiting for room is ours: the peer was not silent.
        this.#heardAtMs = this.#dependencies.clock.now();
      }
      this.#stop();
    } catch (error) {
      this.#fail(error);
    }
  }

  async #apply(from: Position): Promise<void> {
    const { clock } = this.#dependencies;
    let position = from;
    for await (const group of this.#incoming.groups(incomingMax)) {
      if (this.#failure !== undefined) return;
      const ordered = group.filter((item) => item.kind !== "document");
      for (const item of group) {
        if (item.kind === "document") await this.#dependencies.documents.take(this.#peer, item.document);
      }
      if (ordered.length === 0) continue;
      const recorded = this.#lifecycle.record(this.#dependencies.audit, this.#peer, position, ordered);
      // Read at the end of the transaction, unless that failed before.
      recorded.catch(() => undefined);
      const applied = await applyGroup(this.#source, position, ordered, clock.now(), recorded);
      this.#unacknowledged -= applied.batchCount;
      if (applied.batchCount > 0) this.#sendNow(ackOf(this.#peer.org, applied));
      this.#sendIntents(position, applied);
      position = applied.position;
    }
  }

  #countBatch(): void {
    this.#unacknowledged += 1;
    if (this.#unacknowledged > limits.linkBatchesInFlightMax) throw tooMany();
  }

  /** None inside a snapshot: what it leaves out is lost, and must not be asked for before that is known. */
  #sendIntents(before: Position, { position, intents }: Applied): void {
    if (position.state !== "current") return;
    const isSent = (value: Intent) => this.#downstream.sendIfRoom({ case: "intent", value });
    if (before.state !== "current" || !intents.every(isSent)) this.#sendDue();
  }

  #sendDue(): void {
    this.#due.start((error) => this.#fail(error));
  }

  #sendNow(message: Message): void {
    if (!this.#downstream.sendNow(message) && this.#failure === undefined) this.#fail(notReading());
  }

  #beat(): void {
    const { clock, store } = this.#dependencies;
    const now = clock.now();
    const value = create(HeartbeatSchema, { sentAt: timestampFromMs(now) });
    this.#downstream.sendIfRoom({ case: "heartbeat", value });
    // While something waits to be applied it is the database that is slow, not the peer.
    const silentMs = this.#incoming.length > 0 ? 0 : now - this.#heardAtMs;
    const stillMs = Math.max(silentMs, this.#downstream.stalledMs());
    if (stillMs > limits.linkSilenceMsMax) this.#fail(silent(stillMs));
    if (now - this.#seenAtMs < seenEveryMs) return;
    this.#seenAtMs = now;
    recordSeen(store, this.#peer, now).catch((error) => this.#fail(error));
  }

  #fail(error: unknown): void {
    this.#failure ??= error;
    this.#stop();
  }

  #stop(): void {
    clearInterval(this.#timer);
    this.#incoming.close();
    this.#downstream.close();
    // Not awaited: a generator that waits for its peer answers `return` only when the peer speaks.
    this.#requests.return?.().catch(() => undefined);
  }
}

function upwardOf(request: ConnectRequest): Incoming | undefined {
  const { message } = request;
  switch (message.case) {
    case "events":
      if (message.value.events.length > limits.linkBatchEventsMax) throw tooLong(message.value.events.length);
      return { kind: "events", batch: message.value };
    case "intentAnswer":
      return { kind: "intent_answer", answer: message.value };
    case "document":
      return { kind: "document", document: message.value };
    case "heartbeat":
    case "auditCheckpoint":
    case "auditCountersignature":
      return undefined;
    case "hello":
    case undefined:
      throw new BiplaneError("invalid_argument", "A link has one hello, at its beginning.", {
        reason: "unexpected_message",
      });
  }
}

function ackOf(org: string, applied: Applied): Message {
  const admissions = applied.verdicts.map(({ key, outcome }) => admissionOf(org, key, outcome));
  return {
    case: "ack",
    value: create(EventAckSchema, { cursor: BigInt(applied.position.cursor), admissions }),
  };
}

function silent(silentMs: number): BiplaneError {
  return new BiplaneError(
    "deadline_exceeded",
    `Nothing went over the link for ${Math.round(silentMs / 1_000)} seconds.`,
    { reason: "link_silent" },
  );
}

function tooLong(count: number): BiplaneError {
  return new BiplaneError(
    "resource_exhausted",
    `A batch has ${count} events; at most ${limits.linkBatchEventsMax} are allowed.`,
    { reason: "batch_too_long" },
  );
}

function tooMany(): BiplaneError {
  return new BiplaneError(
    "resource_exhausted",
    `More than ${limits.linkBatchesInFlightMax} batches were sent without waiting for acknowledgements.`,
    { reason: "too_many_batches" },
  );
}

function notReading(): BiplaneError {
  return new BiplaneError("resource_exhausted", "The data plane sends, but does not read what it gets.", {
    reason: "not_reading",
  });
}
