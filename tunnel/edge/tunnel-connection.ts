/**
 * One connector's connection, seen from the edge: the HTTP/2 client on a TLS socket that the other side opened. It
 * carries streams and knows nothing of what is in them.
 */
import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants } from "node:http2";
import type { PeerCertificate, TLSSocket } from "node:tls";
import { keepHeartbeat } from "@biplane/kit/http2-heartbeat";
import { certificateNames, type TunnelLimits } from "@biplane/tunnel-protocol";

export interface ConnectorCertificate {
  /** SHA-256 of the certificate's DER form, lower-case hex. */
  readonly fingerprint: string;
  readonly names: readonly string[];
  readonly notAfterMs: number;
}

/** Reads the certificate that the TLS handshake has verified; undefined where the socket is gone already. */
export function connectorCertificate(socket: TLSSocket): ConnectorCertificate | undefined {
  const certificate: Partial<PeerCertificate> | null = socket.getPeerCertificate();
  if (certificate?.fingerprint256 === undefined || certificate.valid_to === undefined) return undefined;
  return {
    fingerprint: certificate.fingerprint256.replaceAll(":", "").toLowerCase(),
    names: certificateNames(certificate.subjectaltname),
    notAfterMs: Date.parse(certificate.valid_to),
  };
}

/** How opening a stream ended. Only a `refused` one may be tried on another connection: no answer has come from it. */
export type OpenOutcome =
  | { readonly kind: "open"; readonly stream: ClientHttp2Stream }
  | { readonly kind: "refused"; readonly why: string }
  | { readonly kind: "unserved"; readonly status: number };

export interface TunnelConnectionOptions {
  readonly socket: TLSSocket;
  readonly certificate: ConnectorCertificate;
  readonly limits: TunnelLimits;
  /** The connector is ready for streams. */
  readonly onReady: (connection: TunnelConnection) => void;
  /** No new streams; those under way may go on. Called once. */
  readonly onRetired: (connection: TunnelConnection, reason: string) => void;
  readonly onClosed: (connection: TunnelConnection) => void;
}

export class TunnelConnection {
  readonly certificate: ConnectorCertificate;
  readonly address: string;
  readonly #session: ClientHttp2Session;
  readonly #options: TunnelConnectionOptions;
  readonly #openedAtMs = Date.now();
  #retired = false;
  #streams = 0;

  constructor(options: TunnelConnectionOptions) {
    this.#options = options;
    this.certificate = options.certificate;
    this.address = options.socket.remoteAddress ?? "";
    this.#session = connect("https://connector", sessionOptions(options));
    this.#listen();
  }

  get names(): readonly string[] {
    return this.certificate.names;
  }

  get streams(): number {
    return this.#streams;
  }

  get ageMs(): number {
    return Date.now() - this.#openedAtMs;
  }

  get hasRoom(): boolean {
    const announced = this.#session.remoteSettings?.maxConcurrentStreams ?? 0;
    return !this.#retired && this.#streams < Math.min(announced, this.#options.limits.streamsMax);
  }

  /** Opens a stream for a name and sends what comes before the rest of the client's bytes. */
  open(name: string, firstBytes: Buffer): Promise<OpenOutcome> {
    let stream: ClientHttp2Stream;
    try {
      stream = this.#session.request({ ":method": "CONNECT", ":authority": name }, { endStream: false });
    } catch (error) {
      // Out of stream numbers, or ended a moment ago: either way a new connection has to take over.
      this.retire("exhausted");
      return Promise.resolve({ kind: "refused", why: (error as NodeJS.ErrnoException).code ?? "error" });
    }
    this.#streams += 1;
    stream.once("close", () => {
      this.#streams -= 1;
    });
    stream.write(firstBytes);
    return answered(stream, this.#options.limits.streamAnswerMs);
  }

  /** Lets the streams under way end and takes no more (HTTP/2 GOAWAY). */
  retire(reason: string): void {
    if (!this.#retire(reason)) return;
    this.#session.close();
  }

  destroy(reason: string): void {
    this.#retire(reason);
    this.#session.destroy();
    this.#options.socket.destroy();
  }

  #retire(reason: string): boolean {
    if (this.#retired) return false;
    this.#retired = true;
    this.#options.onRetired(this, reason);
    return true;
  }

  #listen(): void {
    const { socket, limits } = this.#options;
    const session = this.#session;
    session.setMaxListeners(0);
    session.once("connect", () => {
      // A connector may be gone again before its first moment.
      if (!session.destroyed) session.setLocalWindowSize(limits.sessionWindowBytes);
    });
    session.once("remoteSettings", () => {
      if (!this.#retired) this.#options.onReady(this);
    });
    session.once("goaway", () => this.#retire("goaway"));
    session.on("error", () => this.#retire("error"));
    session.once("close", () => {
      this.#retire("closed");
      this.#options.onClosed(this);
    });
    keepHeartbeat(session, {
      intervalMs: limits.heartbeatMs,
      missedMax: Math.ceil(limits.silenceMsMax / limits.heartbeatMs),
      bytesRead: () => socket.bytesRead,
      onSilent: () => this.destroy("silent"),
    });
    this.#endWithCertificate();
  }

  /** A connection must not outlive the certificate that opened it; the connector comes back with its newer one. */
  #endWithCertificate(): void {
    const timerMsMax = 2 ** 31 - 1;
    const leftMs = Math.max(0, this.certificate.notAfterMs - Date.now());
    const timers = [
      setTimeout(() => this.retire("expiring"), Math.min(timerMsMax, leftMs * 0.95)),
      setTimeout(() => this.destroy("expired"), Math.min(timerMsMax, leftMs)),
    ];
    for (const timer of timers) timer.unref();
    this.#session.once("close", () => timers.forEach(clearTimeout));
  }
}

function sessionOptions({ socket, limits }: TunnelConnectionOptions) {
  return {
    createConnection: () => socket,
    settings: { enablePush: false, initialWindowSize: limits.streamWindowBytes },
    maxSessionMemory: limits.sessionMegabytesMax,
  };
}

function answered(stream: ClientHttp2Stream, waitMs: number): Promise<OpenOutcome> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => {
      resolve({ kind: "refused", why: "no answer" });
      stream.close(constants.NGHTTP2_CANCEL);
    }, waitMs);
    stream.on("error", () => {});
    stream.once("close", () => {
      clearTimeout(timer);
      resolve({ kind: "refused", why: `closed with code ${stream.rstCode}` });
    });
    stream.once("response", (headers) => {
      clearTimeout(timer);
      const status = headers[":status"] ?? 0;
      if (status === 200) return resolve({ kind: "open", stream });
      resolve({ kind: "unserved", status });
      stream.close(constants.NGHTTP2_CANCEL);
    });
  });
}
