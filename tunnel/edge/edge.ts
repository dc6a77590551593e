/** The provider's blind end of the tunnel: connectors on one side, public clients on the other, bytes between them. */

import type { TLSSocket } from "node:tls";
import { sleep } from "@biplane/kit/backoff";
import type { Closeable } from "@biplane/kit/lifecycle";
import type { Logger } from "@biplane/kit/logging";
import { isInternalName, type TunnelLimits, tunnelLimits } from "@biplane/tunnel-protocol";
import type { EdgeConfig, EdgeState, ListenerConfig } from "./config.ts";
import { ConnectorListener } from "./connector-listener.ts";
import { CountedLog } from "./counted-log.ts";
import { watchIdentity } from "./fresh-identity.ts";
import { PublicListener } from "./public-listener.ts";
import { Relay } from "./relay.ts";
import { RevokedCertificates } from "./revoked-certificates.ts";
import { type ConnectorCertificate, TunnelConnection } from "./tunnel-connection.ts";
import { Tunnels } from "./tunnels.ts";

export interface EdgeOptions {
  readonly config: EdgeConfig;
  readonly state: EdgeState;
  readonly log: Logger;
  readonly limits?: Partial<TunnelLimits>;
}

export interface ListeningAddress {
  readonly host: string;
  readonly port: number;
}

export interface EdgeStatus {
  /** Tunnel connections that take streams. */
  readonly connectors: number;
  readonly publicConnections: number;
  /** Public connections whose TLS handshake is not seen to go on yet. */
  readonly halfOpen: number;
}

export interface Edge extends Closeable {
  readonly tunnel: ListeningAddress;
  readonly listeners: readonly (ListeningAddress & { readonly name: string })[];
  status(): EdgeStatus;
}

export async function startEdge(options: EdgeOptions): Promise<Edge> {
  const edge = new RunningEdge(options, effectiveLimits(options));
  try {
    await edge.listen();
  } catch (error) {
    // The ports that it did get must be free again for the next try.
    await edge.close();
    throw error;
  }
  return edge;
}

function effectiveLimits({ config, limits }: EdgeOptions): TunnelLimits {
  const { drainMs, connectionsMax, connectionsPerNameMax } = config;
  const configured = Object.entries({ drainMs, connectionsMax, connectionsPerNameMax });
  const given = configured.filter(([, value]) => value !== undefined);
  return { ...tunnelLimits, ...limits, ...Object.fromEntries(given) };
}

class RunningEdge implements Edge {
  tunnel: ListeningAddress = { host: "", port: 0 };
  listeners: (ListeningAddress & { name: string })[] = [];
  readonly #options: EdgeOptions;
  readonly #limits: TunnelLimits;
  readonly #tunnels = new Tunnels();
  /** Retired ones included: their streams are still ending. */
  readonly #open = new Set<TunnelConnection>();
  readonly #relay: Relay;
  readonly #publicListeners: readonly PublicListener[];
  readonly #countedLog: CountedLog;
  #revoked: RevokedCertificates | undefined;
  #connectorListener: ConnectorListener | undefined;
  #stopWatching = () => {};
  #closing: Promise<void> | undefined;

  constructor(options: EdgeOptions, limits: TunnelLimits) {
    this.#options = options;
    this.#limits = limits;
    const { log, config } = options;
    this.#countedLog = new CountedLog(log);
    this.#relay = new Relay({ tunnels: this.#tunnels, limits, log: this.#countedLog });
    this.#publicListeners = config.listeners.map(
      (listener) =>
        new PublicListener({
          config: listener,
          route,
          limits,
          log,
          countedLog: this.#countedLog,
          onConnection: (connection) => void this.#relay.accept(connection),
        }),
    );
  }

  async listen(): Promise<void> {
    const { config, state, log } = this.#options;
    this.#revoked = await RevokedCertificates.watch(
      state.revokedPath,
      () => this.#cutRevoked(),
      (error) => log.error({ event: "revocations_unreadable", error }, "keeping the list as it was"),
    );
    this.#connectorListener = new ConnectorListener({
      ...config.tunnel,
      ...state,
      revoked: this.#revoked,
      limits: this.#limits,
      log,
      countedLog: this.#countedLog,
      onConnector: (socket, certificate) => this.#welcome(socket, certificate),
    });
    this.#stopWatching = watchIdentity(
      state.identityPaths,
      (identity) => {
        this.#connectorListener?.useIdentity(identity);
        log.info({ event: "certificate_renewed" }, "showing a new certificate");
      },
      (error) => log.error({ event: "identity_unreadable", error }, "keeping the certificate as it was"),
    );
    const tunnel = await this.#connectorListener.listen();
    this.tunnel = { host: config.tunnel.host, port: tunnel.port };
    for (const [index, listener] of this.#publicListeners.entries()) {
      const { port } = await listener.listen();
      this.listeners.push({ name: listener.name, host: config.listeners[index]!.host, port });
    }
  }

  status(): EdgeStatus {
    return {
      connectors: this.#tunnels.connections.size,
      publicConnections: this.#relay.count,
      halfOpen: this.#publicListeners.reduce(
        (sum, listener) => sum + listener.halfOpenCount,
        this.#relay.halfOpenCount,
      ),
    };
  }

  close(): Promise<void> {
    this.#closing ??= this.#drain();
    return this.#closing;
  }

  #welcome(socket: TLSSocket, certificate: ConnectorCertificate): void {
    const { log } = this.#options;
    const connection = new TunnelConnection({
      socket,
      certificate,
      limits: this.#limits,
      onReady: (ready) => {
        this.#tunnels.add(ready);
        log.info(
          { event: "connector_ready", host: ready.address, service: ready.names[0] },
          "connector ready",
        );
      },
      onRetired: (retired, reason) => {
        this.#tunnels.remove(retired);
        const durationMs = retired.ageMs;
        log.info(
          { event: "connector_retired", reason, host: retired.address, durationMs },
          "connector retired",
        );
      },
      onClosed: (closed) => this.#open.delete(closed),
    });
    this.#open.add(connection);
    // A handshake that was under way when the shutdown began.
    if (this.#closing !== undefined) connection.destroy("closing");
  }

  #cutRevoked(): void {
    for (const connection of this.#open) {
      if (this.#revoked?.has(connection.certificate.fingerprint)) connection.destroy("revoked");
    }
  }

  async #drain(): Promise<void> {
    for (const listener of this.#publicListeners) listener.stop();
    this.#connectorListener?.stop();
    for (const connection of this.#open) connection.retire("closing");
    await this.#untilIdle(this.#limits.drainMs);
    this.#relay.destroyAll();
    for (const connection of this.#open) connection.destroy("closing");
    this.#revoked?.close();
    this.#stopWatching();
  }

  async #untilIdle(waitMsMax: number): Promise<void> {
    const pollMs = 20;
    for (let waitedMs = 0; waitedMs < waitMsMax; waitedMs += pollMs) {
      if (this.#relay.count === 0 && this.#open.size === 0) return;
      await sleep(pollMs);
    }
  }
}

/** Names of the tunnel's own are for listeners of theirs: a client can't ask for them by TLS server name. */
function route(config: ListenerConfig, serverName: string | undefined): string | undefined {
  if (config.tunnel !== undefined) return config.tunnel;
  if (serverName === undefined) return undefined;
  if (config.hosts !== undefined && Object.hasOwn(config.hosts, serverName)) return config.hosts[serverName];
  return isInternalName(serverName) ? undefined : serverName;
}
