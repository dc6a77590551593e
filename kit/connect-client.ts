/** Connect clients over TLS with a named root. */
import { limits } from "@biplane/base";
import type { Interceptor, Transport } from "@connectrpc/connect";
import type { UniversalClientFn } from "@connectrpc/connect/protocol";
import { createTransport } from "@connectrpc/connect/protocol-connect";
import { createConnectTransport, createNodeHttpClient, Http2SessionManager } from "@connectrpc/connect-node";
import { type ClientTlsOptions, clientTlsOptions } from "./tls.ts";

export interface ConnectClientOptions {
  /** `https://host:port` */
  readonly baseUrl: string;
  readonly tls: ClientTlsOptions;
  readonly interceptors?: Interceptor[];
  /** Path of a unix socket to dial in place of the address; names are verified all the same. */
  readonly socketPath?: string;
}

/** Stands between the protocol and the network: sees every byte of every call, both ways. */
export type HttpClient = UniversalClientFn;

/**
 * The same, with what `around` makes of the HTTP client. Nothing is compressed, so that whoever stands there reads plain
 * messages.
 */
export function createObservedTransport(
  options: ConnectClientOptions,
  around: (client: HttpClient) => HttpClient,
): Transport {
  const sessions = new Http2SessionManager(options.baseUrl, pings, nodeOptionsOf(options));
  const client = createNodeHttpClient({ httpVersion: "2", sessionProvider: () => sessions });
  return createTransport({
    baseUrl: options.baseUrl,
    httpClient: around(client),
    useBinaryFormat: true,
    interceptors: options.interceptors ?? [],
    acceptCompression: [],
    sendCompression: null,
    compressMinBytes: limits.requestBytesMax,
    readMaxBytes: limits.requestBytesMax,
    writeMaxBytes: limits.requestBytesMax,
  });
}

/** For the socket: small messages one after the other would each wait for the acknowledgement of the one before. */
const promptly = { noDelay: true };

type UnaryMethod = Parameters<Transport["unary"]>[0];

/** A transport that can dial before its first request. */
export interface PreparedTransport {
  readonly transport: Transport;
  /**
   * Resolves once connected, or once that has failed: the next request tries again and says why. `rehearsal`: a method
   * that is asked for by GET, which routers don't answer: what a request needs is loaded then.
   */
  connect(rehearsal?: UnaryMethod): Promise<void>;
}

/** Connect over HTTP/2 and TLS, binary. The silence of a dead peer is noticed by pings. */
export function createClientTransport(options: ConnectClientOptions): Transport {
  return prepareClientTransport(options).transport;
}

export function prepareClientTransport(options: ConnectClientOptions): PreparedTransport {
  const sessionManager = new Http2SessionManager(options.baseUrl, pings, nodeOptionsOf(options));
  const common = {
    httpVersion: "2",
    baseUrl: options.baseUrl,
    readMaxBytes: limits.requestBytesMax,
  } as const;
  const { interceptors = [] } = options;
  const transport = createConnectTransport({ ...common, interceptors, sessionManager });
  const connect = async (rehearsal?: UnaryMethod) => {
    await sessionManager.connect();
    if (rehearsal === undefined) return;
    const asking = createConnectTransport({ ...common, sessionManager, useHttpGet: true });
    await asking.unary(rehearsal, undefined, undefined, undefined, {}).catch(() => undefined);
  };
  return { transport, connect };
}

const pings = { pingIntervalMs: 10_000, pingTimeoutMs: 10_000 };

function nodeOptionsOf(options: ConnectClientOptions) {
  return {
    ...clientTlsOptions(options.tls),
    ...promptly,
    maxSessionMemory: limits.sessionMegabytesMax,
    ...(options.socketPath === undefined ? {} : { path: options.socketPath }),
  };
}
