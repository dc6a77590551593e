/** Connect clients over TLS with a named root. */
import { limits } from "@biplane/base";
import type { Interceptor, Transport } from "@connectrpc/connect";
import { createConnectTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { type ClientTlsOptions, clientTlsOptions } from "./tls.ts";

export interface ConnectClientOptions {
  /** `https://host:port` */
  readonly baseUrl: string;
  readonly tls: ClientTlsOptions;
  readonly interceptors?: Interceptor[];
  /** Path of a unix socket to dial in place of the address; names are verified all the same. */
  readonly socketPath?: string;
}

/** For the socket: small messages one after the other would each wait for the acknowledgement of the one before. */
const promptly = { noDelay: true };

/** A transport that can dial before its first request. */
export interface PreparedTransport {
  readonly transport: Transport;
  /** Resolves once connected, or once that has failed: the next request tries again and says why. */
  connect(): Promise<void>;
}

/** Connect over HTTP/2 and TLS, binary. The silence of a dead peer is noticed by pings. */
export function createClientTransport(options: ConnectClientOptions): Transport {
  return prepareClientTransport(options).transport;
}

export function prepareClientTransport(options: ConnectClientOptions): PreparedTransport {
  const sessionManager = new Http2SessionManager(
    options.baseUrl,
    { pingIntervalMs: 10_000, pingTimeoutMs: 10_000 },
    {
      ...clientTlsOptions(options.tls),
      ...promptly,
      maxSessionMemory: limits.sessionMegabytesMax,
      ...(options.socketPath === undefined ? {} : { path: options.socketPath }),
    },
  );
  const transport = createConnectTransport({
    httpVersion: "2",
    baseUrl: options.baseUrl,
    interceptors: options.interceptors ?? [],
    readMaxBytes: limits.requestBytesMax,
    sessionManager,
  });
  return { transport, connect: async () => void (await sessionManager.connect()) };
}
