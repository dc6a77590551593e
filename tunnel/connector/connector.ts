/**
 * The customer's end of the tunnel. Dials out to the edge over several connections, keeps each of them alive, and
 * hands every public connection that arrives to the service whose name it is for.
 */
import { X509Certificate } from "node:crypto";
import { backoffMs, sleep } from "@biplane/kit/backoff";
import type { Closeable } from "@biplane/kit/lifecycle";
import type { Logger } from "@biplane/kit/logging";
import type { TlsIdentity } from "@biplane/kit/tls";
import { parseHostName, type TunnelLimits, tunnelLimits } from "@biplane/tunnel-protocol";
import { type Connection, dial, type EdgeAddress, type EndReason } from "./connection.ts";
import type { ConnectionConsumer } from "./incoming.ts";

export interface ConnectorOptions {
  readonly edge: EdgeAddress;
  /** The authority that the edge's certificate must verify against, PEM. */
  readonly authorityPem: string;
  /** Asked before every dial, so that a rotated certificate is used without a restart. */
  readonly identity: () => TlsIdentity | Promise<TlsIdentity>;
  /** Who gets the connections for which name: tunnel names, and host names that the certificate lists. */
  readonly services: Readonly<Record<string, ConnectionConsumer>>;
  readonly log: Logger;
  /** Connections to the edge that are kept open. */
  readonly connections?: number;
  /** Told of everything that an audit trail of the tunnel's health wants to know. */
  readonly onEvent?: (event: ConnectorEvent) => void;
  readonly limits?: Partial<TunnelLimits>;
}

export interface ConnectorEvent {
  readonly kind: "connected" | "disconnected" | "dial_failed";
  /** Which of the connector's connections, from 0. */
  readonly connection: number;
  readonly reason?: string;
}

export interface ConnectorStatus {
  /** Connections that take streams now. */
  readonly connected: number;
  /** Public connections under way. */
  readonly streams: number;
}

export interface Connector extends Closeable {
  status(): ConnectorStatus;
  /** Resolves once a connection is up; rejects when the signal aborts first. */
  connected(signal?: AbortSignal): Promise<void>;
}

export function startConnector(options: ConnectorOptions): Connector {
  return new RunningConnector(options);
}

/** A connection that lasted this long was a good one: the next failure starts with short delays again. */
const goodMs = 10_000;
/** Keeps a certificate that nobody renews from being shown again and again in its last moments. */
const rotationMsMin = 1_000;

class RunningConnector implements Connector {
  readonly #options: ConnectorOptions;
  readonly #limits: TunnelLimits;
  readonly #services: ReadonlyMap<string, ConnectionConsumer>;
  readonly #stopping = new AbortController();
  readonly #serving = new Set<Connection>();
  /** Serving ones and those whose last streams are ending. */
  readonly #open = new Set<Connection>();
  readonly #waiting = new Set<() => void>();
  readonly #slots: readonly Promise<void>[];
  #closing: Promise<void> | undefined;

  constructor(options: ConnectorOptions) {
    this.#options = options;
    this.#limits = { ...tunnelLimits, ...options.limits };
    const services = Object.entries(options.services);
    this.#services = new Map(services.map(([name, consumer]) => [parseHostName(name), consumer]));
    const count = options.connections ?? this.#limits.connections;
    this.#slots = Array.from({ length: count }, (_, slot) => this.#keepConnected(slot));
  }

  status(): ConnectorStatus {
    const streams = [...this.#open].reduce((sum, connection) => sum + connection.streams, 0);
    return { connected: this.#serving.size, streams };
  }

  connected(signal?: AbortSignal): Promise<void> {
    if (this.#serving.size > 0) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const settle = () => {
        this.#waiting.delete(settle);
        signal?.removeEventListener("abort", settle);
        if (signal?.aborted) reject(signal.reason);
        else resolve();
      };
      this.#waiting.add(settle);
      signal?.addEventListener("abort", settle, { once: true });
      if (signal?.aborted) settle();
    });
  }

  close(): Promise<void> {
    this.#closing ??= this.#drain();
    return this.#closing;
  }

  /** Always one connection, and two for a moment while a newer certificate takes over from an older one. */
  async #keepConnected(slot: number): Promise<void> {
    const { signal } = this.#stopping;
    let older: Connection | undefined;
    for (let failures = 0; !signal.aborted; ) {
      const outcome = await this.#dial();
      if (outcome.kind === "failed") {
        if (signal.aborted) return;
        this.#report({ kind: "dial_failed", connection: slot, reason: outcome.code });
        await sleep(this.#delayMs(failures), signal);
        failures += 1;
        continue;
      }
      const { connection } = outcome;
      const startedMs = performance.now();
      this.#welcome(connection, slot);
      older?.drain();
      older = undefined;
      const reason = await untilEnded(connection, outcome.rotateAfterMs);
      const lastedMs = performance.now() - startedMs;
      failures = lastedMs >= goodMs ? 0 : failures + 1;
      if (reason === "rotating") older = connection;
      // An edge that says good-bye after a while has a successor; one that does so at once would be asked in a circle.
      else if (reason !== "drained by edge" || lastedMs < rotationMsMin) {
        await sleep(this.#delayMs(failures), signal);
      }
    }
  }

  #delayMs(failures: number): number {
    const { backoffFirstMs, backoffLastMs } = this.#limits;
    return backoffMs(failures, { firstMs: backoffFirstMs, lastMs: backoffLastMs });
  }

  async #dial() {
    const { edge, authorityPem, identity } = this.#options;
    const { signal } = this.#stopping;
    try {
      const shown = await identity();
      const outcome = await dial({
        edge,
        authorityPem,
        identity: shown,
        services: this.#services,
        limits: this.#limits,
        signal,
      });
      return outcome.kind === "failed" ? outcome : { ...outcome, rotateAfterMs: rotateAfterMs(shown) };
    } catch (error) {
      // Unreadable key files and the like: worth another try, as the operator may be replacing them right now.
      const { code } = error as { code?: unknown };
      return { kind: "failed", code: typeof code === "string" ? code : "identity_unreadable" } as const;
    }
  }

  #welcome(connection: Connection, slot: number): void {
    this.#open.add(connection);
    void connection.closed.then(() => this.#open.delete(connection));
    if (this.#stopping.signal.aborted) {
      connection.destroy();
      return;
    }
    this.#serving.add(connection);
    void connection.retired.then((reason) => {
      this.#serving.delete(connection);
      if (reason !== "drained") this.#report({ kind: "disconnected", connection: slot, reason });
    });
    this.#report({ kind: "connected", connection: slot });
    for (const settle of this.#waiting) settle();
  }

  async #drain(): Promise<void> {
    this.#stopping.abort();
    for (const connection of this.#open) connection.drain();
    const ended = Promise.all([...this.#open].map((connection) => connection.closed));
    await Promise.race([ended, sleep(this.#limits.drainMs)]);
    for (const connection of this.#open) connection.destroy();
    await Promise.all(this.#slots);
  }

  #report(event: ConnectorEvent): void {
    const { edge, log, onEvent } = this.#options;
    const level = event.kind === "connected" ? "info" : "warn";
    log[level](
      { event: `tunnel_${event.kind}`, connection: event.connection, reason: event.reason, ...edge },
      "tunnel",
    );
    onEvent?.(event);
  }
}

/** Well before the certificate ends, and not all connections at once. */
function rotateAfterMs(identity: TlsIdentity): number {
  const leftMs = new X509Certificate(identity.certificatePem).validToDate.getTime() - Date.now();
  const timerMsMax = 2 ** 31 - 1;
  const latestMs = Math.min(timerMsMax, Math.max(rotationMsMin, leftMs * 0.7));
  return backoffMs(0, { firstMs: latestMs, lastMs: latestMs });
}

async function untilEnded(connection: Connection, waitMs: number): Promise<EndReason | "rotating"> {
  const ended = new AbortController();
  const rotation = sleep(waitMs, ended.signal).then(() => "rotating" as const);
  try {
    return await Promise.race([connection.retired, rotation]);
  } finally {
    ended.abort();
  }
}
