/** One TLS server for Connect over HTTP/2 and HTTP/1.1, wherever its connections come from. */
import type { IncomingMessage, ServerResponse } from "node:http";
import {
  createSecureServer,
  type Http2SecureServer,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type OutgoingHttpHeaders,
  type ServerHttp2Stream,
} from "node:http2";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { limits } from "@biplane/base";
import type { ConnectRouter, ContextValues, Interceptor } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { errorInterceptor } from "./connect-errors.ts";
import type { Closeable } from "./lifecycle.ts";
import { strictly } from "./strict-http.ts";
import { type ServerTlsOptions, serverTlsOptions } from "./tls.ts";

export type HttpRequest = IncomingMessage | Http2ServerRequest;
export type HttpResponse = ServerResponse | Http2ServerResponse;
export type HttpHandler = (request: HttpRequest, response: HttpResponse) => void;

export interface ConnectServerOptions {
  readonly tls: ServerTlsOptions;
  readonly routes: (router: ConnectRouter) => void;
  readonly interceptors?: Interceptor[];
  /** Sees every request first; returns true where it has answered. */
  readonly before?: (request: HttpRequest, response: HttpResponse) => boolean | Promise<boolean>;
  /** For paths that are no RPC. */
  readonly fallback?: HttpHandler;
  readonly requestBytesMax?: number;
  /** What handlers may know of the connection beneath a request, e.g. the peer's certificate. */
  readonly contextValues?: (request: HttpRequest) => ContextValues;
}

/** Connect over HTTP/2 and HTTP/1.1 on one TLS server; the caller decides where it listens. */
export function createConnectServer(options: ConnectServerOptions): Http2SecureServer {
  return createHttpServer(options.tls, createConnectHandler(options));
}

/** What answers the requests of one or more servers. */
export function createConnectHandler(options: Omit<ConnectServerOptions, "tls">): HttpHandler {
  const adapter = connectNodeAdapter({
    routes: options.routes,
    interceptors: [errorInterceptor, ...(options.interceptors ?? [])],
    readMaxBytes: options.requestBytesMax ?? limits.requestBytesMax,
    writeMaxBytes: options.requestBytesMax ?? limits.requestBytesMax,
    ...(options.fallback === undefined ? {} : { fallback: options.fallback as never }),
    ...(options.contextValues === undefined ? {} : { contextValues: options.contextValues }),
  });
  return async (request, response) => {
    if (options.before !== undefined && (await options.before(request, response))) return;
    adapter(request as never, response as never);
  };
}

/** HTTP/2 and HTTP/1.1 over TLS, for any handler. */
export function createHttpServer(tls: ServerTlsOptions, handler: HttpHandler): Http2SecureServer {
  const server = createSecureServer({
    ...serverTlsOptions(tls),
    allowHTTP1: true,
    // Small messages one after the other would each wait for the acknowledgement of the one before.
    noDelay: true,
    maxSessionMemory: limits.sessionMegabytesMax,
    settings: { initialWindowSize: 1024 * 1024, maxConcurrentStreams: 1_000 },
  });
  server.on("stream", endWithLastBytes);
  server.on("request", strictly(handler));
  return server;
}

/**
 * Node's compatible answers keep each stream open for trailers that may come, and end it a turn of the event loop after
 * the last bytes, in a frame of its own: every client would wait for that turn. Of what is served here gRPC alone has
 * trailers.
 */
function endWithLastBytes(stream: ServerHttp2Stream): void {
  const respond = stream.respond.bind(stream);
  stream.respond = (headers, options) => {
    const type = (headers as OutgoingHttpHeaders | undefined)?.["content-type"];
    const mayHaveTrailers = typeof type === "string" && type.startsWith("application/grpc");
    return respond(headers, { ...options, waitForTrailers: mayHaveTrailers });
  };
}

/** Listens and resolves to the port. Port 0 takes a free one. */
export function listen(server: Http2SecureServer, port: number, host: string): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => {
      server.off("error", reject);
      resolve((server.address() as AddressInfo).port);
    });
  });
}

/** Ends a server: no new connections, sessions closed, stragglers destroyed after the grace period. */
export function serverCloser(server: Http2SecureServer, graceMs = 2_000): Closeable {
  const sessions = new Set<{ close(): void; destroy(): void }>();
  const sockets = new Set<Duplex>();
  server.on("session", (session) => {
    sessions.add(session);
    session.once("close", () => sessions.delete(session));
  });
  // Also those that speak HTTP/1.1 or are still in their handshake: a server waits for each of them.
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  return {
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const session of sessions) session.close();
        setTimeout(() => {
          for (const session of sessions) session.destroy();
          for (const socket of sockets) socket.destroy();
        }, graceMs).unref();
      }),
  };
}
