/** Connect clients over TLS with a named root. */
import { limits } from "@biplane/base";
import type { Interceptor, Transport } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
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

/** Connect over HTTP/2 and TLS, binary. The silence of a dead peer is noticed by pings. */
export function createClientTransport(options: ConnectClientOptions): Transport {
  return createConnectTransport({
    httpVersion: "2",
    baseUrl: options.baseUrl,
    interceptors: options.interceptors ?? [],
    readMaxBytes: limits.requestBytesMax,
    nodeOptions: {
      ...clientTlsOptions(options.tls),
      ...promptly,
      maxSessionMemory: limits.sessionMegabytesMax,
      ...(options.socketPath === undefined ? {} : { path: options.socketPath }),
    },
    pingIntervalMs: 10_000,
    pingTimeoutMs: 10_000,
  });
}
