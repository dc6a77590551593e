/**
 * Accepts connectors: mutual TLS under the provider's authority, in the tunnel's own application protocol. What a
 * connector may serve is read from its certificate. Handshakes are bounded in number and time.
 */
import type { AddressInfo, Socket } from "node:net";
import { createServer, type Server, type TLSSocket } from "node:tls";
import type { Logger } from "@biplane/kit/logging";
import { serverTlsOptions, type TlsIdentity } from "@biplane/kit/tls";
import { type TunnelLimits, tunnelVersions } from "@biplane/tunnel-protocol";
import type { CountedLog } from "./counted-log.ts";
import { HalfOpenConnections } from "./half-open.ts";
import type { RevokedCertificates } from "./revoked-certificates.ts";
import { type ConnectorCertificate, connectorCertificate } from "./tunnel-connection.ts";

export interface ConnectorListenerOptions {
  readonly host: string;
  readonly port: number;
  readonly identity: TlsIdentity;
  readonly clientAuthorityPem: string;
  readonly revoked: Pick<RevokedCertificates, "has">;
  readonly limits: TunnelLimits;
  readonly onConnector: (socket: TLSSocket, certificate: ConnectorCertificate) => void;
  readonly log: Logger;
  /** For what anyone who reaches the port can cause. */
  readonly countedLog: CountedLog;
}

export class ConnectorListener {
  readonly #options: ConnectorListenerOptions;
  readonly #server: Server;
  readonly #halfOpen: HalfOpenConnections;
  /** By the connector's address and port: a TLS socket does not tell which TCP socket it was made of. */
  readonly #handshaking = new Map<string, Socket>();

  constructor(options: ConnectorListenerOptions) {
    this.#options = options;
    const { limits, log, countedLog } = options;
    this.#halfOpen = new HalfOpenConnections({
      countMax: limits.connectorHandshakesMax,
      waitMs: limits.connectorHandshakeMs,
      onGivenUp: (socket, reason) => {
        countedLog.note("info", { event: "connector_handshake_missing", reason }, "given up");
        socket.destroy();
      },
    });
    this.#server = createServer({
      ...this.#tlsOptions(options.identity),
      ALPNProtocols: [...tunnelVersions],
    });
    this.#server.maxConnections = limits.connectorsMax;
    this.#server.on("connection", (socket: Socket) => this.#watchHandshake(socket));
    this.#server.on("secureConnection", (socket) => this.#admit(socket));
    // Out of file descriptors, for one: the next connection may succeed again.
    this.#server.on("error", (error) => log.error({ event: "accept_failed", error }, "accepting failed"));
    this.#server.on("tlsClientError", (error: NodeJS.ErrnoException, socket) => {
      this.#noteRefusal(error.code ?? "tls", socket);
    });
  }

  get halfOpenCount(): number {
    return this.#halfOpen.count;
  }

  listen(): Promise<AddressInfo> {
    return new Promise((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen({ port: this.#options.port, host: this.#options.host, backlog: 1_024 }, () => {
        this.#server.off("error", reject);
        resolve(this.#server.address() as AddressInfo);
      });
    });
  }

  /** For connections from now on. */
  useIdentity(identity: TlsIdentity): void {
    this.#server.setSecureContext(this.#tlsOptions(identity));
  }

  #tlsOptions(identity: TlsIdentity) {
    const { clientAuthorityPem, limits } = this.#options;
    return serverTlsOptions({ identity, clientAuthorityPem, handshakeMs: limits.connectorHandshakeMs });
  }

  stop(): void {
    this.#server.close();
  }

  #watchHandshake(socket: Socket): void {
    socket.setNoDelay(true);
    this.#halfOpen.add(socket);
    const endpoint = endpointOf(socket);
    this.#handshaking.set(endpoint, socket);
    socket.once("close", () => this.#endHandshake(endpoint));
  }

  #endHandshake(endpoint: string): void {
    const socket = this.#handshaking.get(endpoint);
    if (socket === undefined) return;
    this.#handshaking.delete(endpoint);
    this.#halfOpen.remove(socket);
  }

  #admit(socket: TLSSocket): void {
    const { revoked, onConnector } = this.#options;
    socket.on("error", () => {});
    this.#endHandshake(endpointOf(socket));
    const verdict = judge(socket, revoked);
    if (verdict.kind === "admitted") {
      onConnector(socket, verdict.certificate);
      return;
    }
    this.#noteRefusal(verdict.reason, socket);
    socket.destroy();
  }

  #noteRefusal(reason: string, socket: TLSSocket): void {
    const fields = { event: "connector_refused", reason, host: socket.remoteAddress };
    this.#options.countedLog.note("warn", fields, "refused");
  }
}

type Verdict =
  | { readonly kind: "admitted"; readonly certificate: ConnectorCertificate }
  | { readonly kind: "refused"; readonly reason: string };

function judge(socket: TLSSocket, revoked: Pick<RevokedCertificates, "has">): Verdict {
  const refused = (reason: string): Verdict => ({ kind: "refused", reason });
  const certificate = connectorCertificate(socket);
  if (certificate === undefined) return refused("no certificate");
  if (!(tunnelVersions as readonly unknown[]).includes(socket.alpnProtocol)) {
    return refused("no tunnel protocol");
  }
  if (revoked.has(certificate.fingerprint)) return refused("certificate revoked");
  if (certificate.names.length === 0) return refused("certificate names nothing to serve");
  return { kind: "admitted", certificate };
}

function endpointOf(socket: Socket): string {
  return `${socket.remoteAddress} ${socket.remotePort}`;
}
