/**
 * One connection of a cluster. What comes in waits in a short queue, is applied in groups, and only then acknowledged;
 * while the queue is full nothing more is read, so that a fast data plane is slowed down by flow control.
 */
import { BiplaneError, limits } from "@biplane/base";
import {
  type Command,
  type ConnectRequest,
  type ConnectResponse,
  ConnectResponseSchema,
  EventAckSchema,
  HeartbeatSchema,
  type Hello,
} from "@biplane/control-wire";
import { BoundedQueue, type Clock, type Logger } from "@biplane/kit";
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { recordSeen } from "../clusters/clusters.ts";
import type { ClusterPeer } from "../clusters/peer.ts";
import type { LinkSessions, LiveLink } from "../clusters/sessions.ts";
import type { Store } from "../store/open.ts";
import { applyGroup, type Upward } from "./apply.ts";
import type { Position } from "./positions.ts";
import { admissionOf } from "./unanswered.ts";
import { openLink } from "./welcome.ts";

export interface LinkDependencies {
  readonly store: Store;
  readonly sessions: LinkSessions;
  readonly clock: Clock;
  readonly log: Logger;
  readonly region: string;
}

type Message = ConnectResponse["message"];
const outgoingMax = 512;
const seenEveryMs = 30_000;

export class LinkSession implements LiveLink {
  readonly #dependencies: LinkDependencies;
  readonly #peer: ClusterPeer;
  readonly #requests: AsyncIterator<ConnectRequest>;
  readonly #incoming = new BoundedQueue<Upward>(limits.linkBatchesInFlightMax);
  readonly #outgoing = new BoundedQueue<ConnectResponse>(outgoingMax);
  readonly #timer: NodeJS.Timeout;
  #working: Promise<void> = Promise.resolve();
  #failure: unknown;
  #heardAtMs: number;
  #sentAtMs: number;
  #seenAtMs: number;

  constructor(dependencies: LinkDependencies, peer: ClusterPeer, requests: AsyncIterator<ConnectRequest>) {
    this.#dependencies = dependencies;
    this.#peer = peer;
    this.#requests = requests;
    this.#heardAtMs = this.#sentAtMs = this.#seenAtMs = dependencies.clock.now();
    this.#timer = setInterval(() => this.#beat(), limits.linkHeartbeatMs);
  }

  /** What goes down to the data plane, until the link ends; throws what ended it. */
  async *run(hello: Hello): AsyncGenerator<ConnectResponse> {
    this.#working = this.#work(hello);
    try {
      yield* this.#outgoing;
    } finally {
      this.#stop();
    }
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** The connection broke. Whoever reads `run` may never ask again, so that this has to be told. */
  abandon(): void {
    this.#fail(new BiplaneError("canceled", "The data plane went away.", { reason: "link_gone" }));
  }

  sendCommand(command: Command): boolean {
    return this.#trySend({ case: "command", value: command });
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

  async #work(hello: Hello): Promise<void> {
    const { sessions } = this.#dependencies;
    const { org, cluster } = this.#peer;
    try {
      await sessions.enter(org, cluster, this);
      if (this.#failure !== undefined) return;
      const { position, messages } = await openLink(this.#dependencies, this.#peer, hello);
      for (const message of messages) await this.#send(message);
      // Not awaited: it ends when the peer speaks or goes, and this link may have to end before.
      void this.#read();
      await this.#apply(position);
    } catch (error) {
      this.#fail(error);
    } finally {
      sessions.leave(org, cluster, this);
    }
  }

  async #read(): Promise<void> {
    try {
      for (;;) {
        const { value, done } = await this.#requests.next();
        if (done === true) break;
        this.#heardAtMs = this.#dependencies.clock.now();
        const item = upwardOf(value);
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
    const { store, clock } = this.#dependencies;
    const { org, cluster } = this.#peer;
    let position = from;
    for await (const group of this.#incoming.groups(limits.linkBatchesInFlightMax)) {
      if (this.#failure !== undefined) return;
      const applied = await applyGroup({ store, org, cluster }, position, group, clock.now());
      if (applied.position !== position) await this.#send(ackOf(org, applied));
      position = applied.position;
      for (const intent of applied.intents) await this.#send({ case: "intent", value: intent });
    }
  }

  async #send(message: Message): Promise<void> {
    await this.#outgoing.push(create(ConnectResponseSchema, { message }));
    this.#sentAtMs = this.#dependencies.clock.now();
  }

  #trySend(message: Message): boolean {
    const sent = this.#outgoing.tryPush(create(ConnectResponseSchema, { message }));
    if (sent) this.#sentAtMs = this.#dependencies.clock.now();
    return sent;
  }

  #beat(): void {
    const { clock, store } = this.#dependencies;
    const now = clock.now();
    this.#trySend({ case: "heartbeat", value: create(HeartbeatSchema, { sentAt: timestampFromMs(now) }) });
    const silentMs = now - Math.min(this.#heardAtMs, this.#sentAtMs);
    if (silentMs > limits.linkSilenceMsMax && !this.#isBusy()) this.#fail(silent(silentMs));
    if (now - this.#seenAtMs < seenEveryMs) return;
    this.#seenAtMs = now;
    recordSeen(store, this.#peer, now).catch((error) => this.#fail(error));
  }

  /** Events wait to be applied: then it is the database that is slow, not the peer. */
  #isBusy(): boolean {
    return this.#incoming.length > 0 && this.#outgoing.length < outgoingMax;
  }

  #fail(error: unknown): void {
    this.#failure ??= error;
    this.#stop();
  }

  #stop(): void {
    clearInterval(this.#timer);
    this.#incoming.close();
    this.#outgoing.close();
    // Not awaited: a generator that waits for its peer answers `return` only when the peer speaks.
    this.#requests.return?.().catch(() => undefined);
  }
}

function upwardOf(request: ConnectRequest): Upward | undefined {
  const { message } = request;
  switch (message.case) {
    case "events":
      if (message.value.events.length > limits.linkBatchEventsMax) throw tooLong(message.value.events.length);
      return { kind: "events", batch: message.value };
    case "intentAnswer":
      return { kind: "intent_answer", answer: message.value };
    case "commandAnswer":
      return { kind: "command_answer", answer: message.value };
    case "heartbeat":
      return undefined;
    case "hello":
    case undefined:
      throw new BiplaneError("invalid_argument", "A link has one hello, at its beginning.", {
        reason: "unexpected_message",
      });
  }
}

function ackOf(org: string, applied: Awaited<ReturnType<typeof applyGroup>>): Message {
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
