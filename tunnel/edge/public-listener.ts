/**
 * Accepts public TCP connections. Each must begin with a TLS ClientHello, which decides (by its server name, or by the
 * listener alone) which tunnel name it belongs to; then its bytes are forwarded as they are.
 */
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import type { Logger } from "@biplane/kit/logging";
import type { TunnelLimits } from "@biplane/tunnel-protocol";
import { parseClientHello } from "./client-hello.ts";
import type { ListenerConfig } from "./config.ts";
import type { CountedLog } from "./counted-log.ts";
import { HalfOpenConnections } from "./half-open.ts";

/** A public connection whose tunnel name is known. Its socket is paused; `firstBytes` were read from it already. */
export interface PublicConnection {
  readonly socket: Socket;
  readonly tunnel: string;
  readonly firstBytes: Buffer;
}

export interface PublicListenerOptions {
  readonly config: ListenerConfig;
  /** The tunnel name for a TLS server name, or undefined where nobody is asked for. */
  readonly route: (config: ListenerConfig, serverName: string | undefined) => string | undefined;
  readonly limits: TunnelLimits;
  readonly onConnection: (connection: PublicConnection) => void;
  readonly log: Logger;
  /** For what clients cause. */
  readonly countedLog: CountedLog;
}

const keepAliveMs = 30_000;

export class PublicListener {
  readonly #options: PublicListenerOptions;
  readonly #server: Server;
  readonly #halfOpen: HalfOpenConnections;

  constructor(options: PublicListenerOptions) {
    this.#options = options;
    this.#halfOpen = new HalfOpenConnections({
      countMax: options.limits.halfOpenMax,
      waitMs: options.limits.clientHelloMs,
      onGivenUp: (socket, reason) => {
        const fields = { event: "hello_missing", reason, service: options.config.name };
        options.countedLog.note("info", fields, "given up");
        socket.destroy();
      },
    });
    this.#server = createServer(
      {
        allowHalfOpen: true,
        pauseOnConnect: true,
        noDelay: true,
        keepAlive: true,
        keepAliveInitialDelay: keepAliveMs,
      },
      (socket) => this.#accept(socket),
    );
    // Out of file descriptors, for one: the next connection may succeed again.
    this.#server.on("error", (error) =>
      options.log.error({ event: "accept_failed", error, service: options.config.name }, "accepting failed"),
    );
    this.#server.maxConnections = options.limits.connectionsMax;
  }

  get name(): string {
    return this.#options.config.name;
  }

  get halfOpenCount(): number {
    return this.#halfOpen.count;
  }

  listen(): Promise<AddressInfo> {
    const { port, host } = this.#options.config;
    return new Promise((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen({ port, host, backlog: 4_096 }, () => {
        this.#server.off("error", reject);
        resolve(this.#server.address() as AddressInfo);
      });
    });
  }

  /** Stops accepting; connections under way go on. */
  stop(): void {
    this.#server.close();
  }

  #accept(socket: Socket): void {
    // Without a listener a client's reset would end the process.
    socket.on("error", () => {});
    this.#halfOpen.add(socket);
    const forget = () => this.#halfOpen.remove(socket);
    socket.once("close", forget);
    readHello(socket, this.#options.limits.clientHelloBytesMax, (outcome) => {
      socket.off("close", forget);
      forget();
      if (outcome.kind === "refused") return this.#refuse(socket, outcome.why);
      const tunnel = this.#options.route(this.#options.config, outcome.serverName);
      if (tunnel === undefined) return this.#refuse(socket, "unknown server name");
      this.#options.onConnection({ socket, tunnel, firstBytes: outcome.firstBytes });
    });
  }

  #refuse(socket: Socket, reason: string): void {
    const fields = { event: "connection_refused", reason, service: this.name };
    this.#options.countedLog.note("info", fields, "refused");
    socket.destroy();
  }
}

type HelloOutcome =
  | { readonly kind: "hello"; readonly serverName: string | undefined; readonly firstBytes: Buffer }
  | { readonly kind: "refused"; readonly why: string };

/** Reads until the ClientHello is complete and leaves the socket paused, with nothing lost. */
function readHello(socket: Socket, bytesMax: number, done: (outcome: HelloOutcome) => void): void {
  const chunks: Buffer[] = [];
  let bytes = 0;
  let bytesNeeded = 1;
  const finish = (outcome: HelloOutcome) => {
    socket.pause();
    socket.off("data", onData);
    socket.off("end", onEnd);
    done(outcome);
  };
  const onEnd = () => finish({ kind: "refused", why: "ended before its ClientHello" });
  const onData = (chunk: Buffer) => {
    chunks.push(chunk);
    bytes += chunk.length;
    // Looking again at every byte of a client that sends them one by one would be the client's lever on our time.
    if (bytes < bytesNeeded) return;
    const firstBytes = chunks.length === 1 ? chunk : Buffer.concat(chunks);
    const parsed = parseClientHello(firstBytes, bytesMax);
    if (parsed.kind === "incomplete") bytesNeeded = parsed.bytesNeeded;
    else if (parsed.kind === "invalid") finish({ kind: "refused", why: parsed.why });
    else finish({ kind: "hello", serverName: parsed.serverName, firstBytes });
  };
  socket.on("data", onData);
  socket.once("end", onEnd);
  socket.resume();
}
