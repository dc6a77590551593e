/** Finds a tunnel connection for each public connection and joins the two, within bounds per edge and per name. */
import { type ClientHttp2Stream, constants } from "node:http2";
import type { Socket } from "node:net";
import { encodeProxyHeader, type ProxiedConnection, type TunnelLimits } from "@biplane/tunnel-protocol";
import type { CountedLog } from "./counted-log.ts";
import { forward } from "./forward.ts";
import { HalfOpenConnections } from "./half-open.ts";
import type { PublicConnection } from "./public-listener.ts";
import type { TunnelConnection } from "./tunnel-connection.ts";
import type { Tunnels } from "./tunnels.ts";

export interface RelayOptions {
  readonly tunnels: Tunnels;
  readonly limits: TunnelLimits;
  readonly log: CountedLog;
}

type FindOutcome =
  | { readonly kind: "open"; readonly stream: ClientHttp2Stream }
  | { readonly kind: "failed"; readonly event: "no_connector" | "connector_failed" | "name_not_served" };

/** A connector that refuses may be one that is shutting down; a second and third one are asked, not all of them. */
const triesMax = 3;

export class Relay {
  readonly #options: RelayOptions;
  readonly #sockets = new Set<Socket>();
  readonly #countByName = new Map<string, number>();
  readonly #halfOpen: HalfOpenConnections;

  constructor(options: RelayOptions) {
    this.#options = options;
    const { limits, log } = options;
    this.#halfOpen = new HalfOpenConnections({
      countMax: limits.halfOpenMax,
      waitMs: limits.clientFinishMs,
      onGivenUp: (socket, reason) => {
        log.note("info", { event: "handshake_missing", reason }, "given up");
        socket.destroy();
      },
    });
  }

  get halfOpenCount(): number {
    return this.#halfOpen.count;
  }

  /** Public connections under way. */
  get count(): number {
    return this.#sockets.size;
  }

  async accept({ socket, tunnel, firstBytes }: PublicConnection): Promise<void> {
    const limit = this.#limitReached(tunnel);
    if (limit !== undefined) return this.#giveUp(socket, tunnel, limit);
    this.#count(socket, tunnel);
    const preface = Buffer.concat([encodeProxyHeader(addressesOf(socket)), firstBytes]);
    const found = await this.#open(tunnel, preface, socket);
    if (found.kind === "failed") return this.#giveUp(socket, tunnel, found.event);
    if (socket.destroyed) return found.stream.close(constants.NGHTTP2_CANCEL);
    this.#awaitFinish(socket);
    forward(socket, found.stream);
  }

  /** Whoever sends a ClientHello and no more would keep a service's handshake open at little cost. */
  #awaitFinish(socket: Socket): void {
    const forget = () => {
      socket.off("data", forget);
      socket.off("close", forget);
      this.#halfOpen.remove(socket);
    };
    this.#halfOpen.add(socket);
    socket.once("data", forget);
    socket.once("close", forget);
  }

  destroyAll(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  async #open(tunnel: string, preface: Buffer, socket: Socket): Promise<FindOutcome> {
    const tried = new Set<TunnelConnection>();
    while (tried.size < triesMax && !socket.destroyed) {
      const connection = this.#options.tunnels.pick(tunnel, tried);
      if (connection === undefined) break;
      tried.add(connection);
      const outcome = await connection.open(tunnel, preface);
      // The client has not been answered yet, so its first bytes can go to another connector instead.
      if (outcome.kind === "open") return outcome;
      if (outcome.kind === "unserved") return { kind: "failed", event: "name_not_served" };
    }
    return { kind: "failed", event: tried.size === 0 ? "no_connector" : "connector_failed" };
  }

  #limitReached(tunnel: string): "connections_max" | "connections_per_name_max" | undefined {
    const { limits } = this.#options;
    if (this.#sockets.size >= limits.connectionsMax) return "connections_max";
    const ofName = this.#countByName.get(tunnel) ?? 0;
    return ofName >= limits.connectionsPerNameMax ? "connections_per_name_max" : undefined;
  }

  #count(socket: Socket, tunnel: string): void {
    this.#sockets.add(socket);
    this.#countByName.set(tunnel, (this.#countByName.get(tunnel) ?? 0) + 1);
    socket.once("close", () => {
      this.#sockets.delete(socket);
      const left = (this.#countByName.get(tunnel) ?? 1) - 1;
      if (left > 0) this.#countByName.set(tunnel, left);
      else this.#countByName.delete(tunnel);
    });
  }

  /** At once, so that the client's next try comes soon, instead of waiting for an answer that can't come. */
  #giveUp(socket: Socket, tunnel: string, event: string): void {
    this.#options.log.note("warn", { event, service: tunnel }, "public connection closed");
    socket.destroy();
  }
}

function addressesOf(socket: Socket): ProxiedConnection {
  const { remoteAddress, remotePort, localAddress, localPort } = socket;
  // A client that has gone already has no address any more.
  if (remoteAddress === undefined || remotePort === undefined) return { kind: "unknown" };
  if (localAddress === undefined || localPort === undefined) return { kind: "unknown" };
  return {
    kind: "known",
    client: { address: remoteAddress, port: remotePort },
    edge: { address: localAddress, port: localPort },
  };
}
