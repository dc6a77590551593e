/** What one connection means for audit: the cluster as witness, and what its events say of runs and attempts. */
import { Lifecycle } from "@biplane/audit";
import { second } from "@biplane/base";
import {
  type AuditCheckpoint,
  AuditCheckpointSchema,
  AuditCountersignatureSchema,
  type ConnectRequest,
  Phase,
} from "@biplane/control-wire";
import { sleep } from "@biplane/kit";
import { eventOf, type WitnessPort } from "@biplane/kit/audit-log";
import { create } from "@bufbuild/protobuf";
import type { AuditLogs } from "../audit/audit.ts";
import type { ClusterPeer } from "../clusters/peer.ts";
import type { Upward } from "./apply.ts";
import type { Downstream } from "./downstream.ts";
import type { Position } from "./positions.ts";

/** Checkpoints of a peer that is far ahead of its answers: more is not under way with an honest one. */
const underWayMax = 4;

export class LinkWitness {
  readonly #peer: WitnessPort;
  readonly #downstream: Downstream;
  readonly #fail: (error: unknown) => void;
  readonly #ending = new AbortController();
  readonly #sending: Promise<void>;
  readonly #underWay = new Set<Promise<void>>();

  constructor(peer: WitnessPort, downstream: Downstream, fail: (error: unknown) => void) {
    this.#peer = peer;
    this.#downstream = downstream;
    this.#fail = fail;
    this.#sending = this.#send().catch(fail);
  }

  /** Whether the message was for the witness. It is never waited for: events must not stand behind it. */
  take(message: ConnectRequest["message"]): boolean {
    if (message.case === "auditCountersignature") this.#run(this.#peer.answered(message.value));
    else if (message.case === "auditCheckpoint") {
      if (this.#underWay.size < underWayMax) this.#run(this.#countersign(message.value));
    } else return false;
    return true;
  }

  async close(): Promise<void> {
    this.#ending.abort();
    await Promise.allSettled([this.#sending, ...this.#underWay]);
  }

  async #send(): Promise<void> {
    const { signal } = this.#ending;
    for await (const message of this.#peer.messages(signal)) {
      const value = create(AuditCheckpointSchema, { ...message, proofHash: [...message.proofHash] });
      while (!signal.aborted && !this.#downstream.sendIfRoom({ case: "auditCheckpoint", value })) {
        await sleep(second, signal);
      }
    }
  }

  async #countersign(checkpoint: AuditCheckpoint): Promise<void> {
    const answer = await this.#peer.observe(checkpoint);
    const value = create(AuditCountersignatureSchema, answer);
    // Without room the data plane sends its next checkpoint at its next connection.
    this.#downstream.sendIfRoom({ case: "auditCountersignature", value });
  }

  #run(work: Promise<void>): void {
    const tracked = work.catch(this.#fail).finally(() => this.#underWay.delete(tracked));
    this.#underWay.add(tracked);
  }
}

/** Records changes before they are committed: a repeat may be recorded twice, what was applied never not at all. */
export class LinkLifecycle {
  readonly #lifecycle = new Lifecycle((phase) => Phase[phase] ?? "");

  async record(
    audit: AuditLogs,
    { org, cluster }: ClusterPeer,
    { cursor }: Position,
    group: readonly Upward[],
  ): Promise<void> {
    const changes = group
      .flatMap((item) => (item.kind === "events" ? item.batch.events : []))
      .filter(({ sequence }) => Number(sequence) > cursor)
      .map(({ change }) => change);
    const events = this.#lifecycle.eventsOf(changes);
    if (events.length === 0) return;
    const log = await audit.of(org);
    await log.recordAll(events.map(({ code, ...details }) => eventOf(code, { ...details, cluster })));
  }
}
