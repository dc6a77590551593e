/** One dial to the edge and what becomes of it: TLS, then the HTTP/2 server's role on the same socket. */
import { once, setMaxListeners } from "node:events";
import { performServerHandshake, type ServerHttp2Session } from "node:http2";
import { isIP } from "node:net";
import type { TLSSocket } from "node:tls";
import { connectTls } from "@biplane/kit/egress";
import { keepHeartbeat } from "@biplane/kit/http2-heartbeat";
import { clientTlsOptions, type TlsIdentity } from "@biplane/kit/tls";
import { type TunnelLimits, tunnelVersions } from "@biplane/tunnel-protocol";
import { acceptStream, type ConnectionConsumer } from "./incoming.ts";

export interface EdgeAddress {
  readonly host: string;
  readonly port: number;
}

export interface ConnectionOptions {
  readonly edge: EdgeAddress;
  readonly authorityPem: string;
  readonly identity: TlsIdentity;
  readonly services: ReadonlyMap<string, ConnectionConsumer>;
  readonly limits: TunnelLimits;
  readonly signal: AbortSignal;
}

export type DialOutcome =
  | { readonly kind: "connected"; readonly connection: Connection }
  /** `code` is the operating system's, OpenSSL's or our own short word. */
  | { readonly kind: "failed"; readonly code: string };

/** Why a connection takes no new streams any more. */
export type EndReason = "closed" | "drained" | "drained by edge" | "silent" | "error";

/** Connected means that the edge has spoken HTTP/2: only then has it accepted our certificate (TLS 1.3). */
export async function dial(options: ConnectionOptions): Promise<DialOutcome> {
  const socket = connectTls({
    ...clientTlsOptions(options),
    ...options.edge,
    ...(isIP(options.edge.host) === 0 ? { servername: options.edge.host } : {}),
    ALPNProtocols: [...tunnelVersions],
  });
  socket.setNoDelay(true);
  const signal = AbortSignal.any([options.signal, AbortSignal.timeout(options.limits.connectMs)]);
  try {
    await once(socket, "secureConnect", { signal });
    if (typeof socket.alpnProtocol !== "string") throw new DialError("no_tunnel_protocol");
    const connection = new Connection(socket, options);
    await connection.established(signal);
    return { kind: "connected", connection };
  } catch (error) {
    socket.destroy();
    return { kind: "failed", code: codeOf(error, signal) };
  }
}

class DialError extends Error {
  readonly code: string;

  constructor(code: string) {
    super(code);
    this.code = code;
  }
}

function codeOf(error: unknown, signal: AbortSignal): string {
  if (signal.aborted) return "timeout";
  const { code } = error as { code?: unknown };
  return typeof code === "string" ? code : "error";
}

export class Connection {
  /** Resolves when the connection takes no new streams; those under way may go on. */
  readonly retired: Promise<EndReason>;
  /** Resolves when nothing of it is left. */
  readonly closed: Promise<void>;
  readonly #socket: TLSSocket;
  readonly #session: ServerHttp2Session;
  #retire: (reason: EndReason) => void = () => {};
  readonly #retiring = new AbortController();
  #streams = 0;

  constructor(socket: TLSSocket, { services, limits }: ConnectionOptions) {
    this.#socket = socket;
    this.#session = performServerHandshake(socket, {
      settings: {
        initialWindowSize: limits.streamWindowBytes,
        maxConcurrentStreams: limits.streamsMax,
      },
      streamResetBurst: limits.streamResetsBurstMax,
      streamResetRate: limits.streamResetsPerSecondMax,
      maxSessionMemory: limits.sessionMegabytesMax,
    });
    this.retired = new Promise((resolve) => {
      this.#retire = resolve;
    });
    setMaxListeners(0, this.#retiring.signal);
    void this.retired.then(() => this.#retiring.abort());
    this.closed = new Promise((resolve) => this.#session.once("close", () => resolve()));
    this.#listen(limits);
    this.#session.on("stream", (stream, headers) => {
      this.#streams += 1;
      stream.once("close", () => {
        this.#streams -= 1;
      });
      const { signal: retiring } = this.#retiring;
      acceptStream(stream, headers, { services, retiring, proxyHeaderMs: limits.streamAnswerMs });
    });
  }

  get streams(): number {
    return this.#streams;
  }

  /** Rejects where the edge ends the connection instead of answering. */
  async established(signal: AbortSignal): Promise<void> {
    const ended = new AbortController();
    let code = "closed_by_edge";
    this.#socket.once("error", (error: NodeJS.ErrnoException) => {
      code = error.code ?? "error";
    });
    this.#session.once("close", () => ended.abort());
    try {
      await once(this.#session, "remoteSettings", { signal: AbortSignal.any([signal, ended.signal]) });
    } catch (error) {
      throw ended.signal.aborted ? new DialError(code) : error;
    }
  }

  /** Says good-bye to the edge, which sends no new streams then; ends with the last one of those under way. */
  drain(): void {
    this.#retire("drained");
    this.#session.close();
  }

  destroy(): void {
    this.#session.destroy();
    this.#socket.destroy();
  }

  #listen(limits: TunnelLimits): void {
    const session = this.#session;
    session.setMaxListeners(0);
    session.setLocalWindowSize(limits.sessionWindowBytes);
    session.on("error", () => this.#retire("error"));
    session.once("goaway", () => this.#retire("drained by edge"));
    session.once("close", () => this.#retire("closed"));
    keepHeartbeat(session, {
      intervalMs: limits.heartbeatMs,
      missedMax: Math.ceil(limits.silenceMsMax / limits.heartbeatMs),
      bytesRead: () => this.#socket.bytesRead,
      onSilent: () => {
        this.#retire("silent");
        this.destroy();
      },
    });
  }
}
