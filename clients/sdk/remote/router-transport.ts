/** Calls to the router: signed in, repeated where that is safe, each under one id so that a repeat is known as one. */
import { randomUUID } from "node:crypto";
import { backoffMs, sleep } from "@biplane/kit/backoff";
import { createClientTransport } from "@biplane/kit/connect-client";
import type { ClientTlsOptions } from "@biplane/kit/tls";
import { Code, ConnectError, type Interceptor, type Transport } from "@connectrpc/connect";
import type { KnownServers } from "./known-servers.ts";
import { isUntrusted, unreachable } from "./pinned-http.ts";
import type { Profile } from "./profile.ts";
import type { TokenSource } from "./tokens.ts";

const triesMax = 4;
const repeatable = new Set([Code.Unavailable, Code.ResourceExhausted]);
const cutConnections = new Set<unknown>(["ECONNRESET", "ECONNREFUSED", "EPIPE", "ERR_HTTP2_STREAM_ERROR"]);

export function createRouterTransport(
  { router }: Pick<Profile, "router">,
  servers: Pick<KnownServers, "tlsFor">,
  tokens: TokenSource,
): Transport {
  const create = (tls: ClientTlsOptions) =>
    createClientTransport({
      baseUrl: router,
      tls,
      interceptors: [oneId, repeat, refuseOthers(router), signIn(tokens)],
    });
  let believed = servers.tlsFor(router);
  let transport = create(believed);
  /** What is under way ends on the connections that it began on. */
  const current = (): Transport => {
    const tls = servers.tlsFor(router);
    if (tls.authorityPem !== believed.authorityPem) {
      believed = tls;
      transport = create(tls);
    }
    return transport;
  };
  return {
    unary: (...call) => current().unary(...call),
    stream: (...call) => current().stream(...call),
  };
}

/** Waits for `ready` before each call; what it throws is the call's failure, and nothing is sent. */
export function onceReady(transport: Transport, ready: () => Promise<unknown>): Transport {
  return {
    async unary(...call) {
      await ready();
      return transport.unary(...call);
    },
    async stream(...call) {
      await ready();
      return transport.stream(...call);
    },
  };
}

/** The id stays the same through all tries: the router gives a repeated request its first answer again. */
const oneId: Interceptor = (next) => (request) => {
  request.header.set("x-request-id", randomUUID());
  return next(request);
};

const repeat: Interceptor = (next) => async (request) => {
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await next(request);
    } catch (error) {
      const mayRepeat =
        !request.stream && (repeatable.has(ConnectError.from(error).code) || isCutConnection(error));
      if (!mayRepeat || attempt + 1 >= triesMax || request.signal.aborted) throw error;
      if (attempt === 0 && isRefusedStream(error)) continue;
      await sleep(backoffMs(attempt, { firstMs: 500, lastMs: 10_000 }), request.signal);
    }
  }
};

/** The request crossed the server's good-bye; the next connection takes it at once (RFC 9113, section 8.7). */
function isRefusedStream(error: unknown): boolean {
  const { cause } = ConnectError.from(error);
  return cause instanceof Error && cause.message.includes("NGHTTP2_REFUSED_STREAM");
}

/** Somebody else answers in the router's place: asking again would only tell them more. */
function refuseOthers(router: string): Interceptor {
  return (next) => async (request) => {
    try {
      return await next(request);
    } catch (error) {
      const { cause } = ConnectError.from(error);
      throw isUntrusted(cause) ? unreachable(router, cause) : error;
    }
  };
}

/** Whether the network or a reset ended it; that says nothing about the request, and its id makes a repeat harmless. */
export function isCutConnection(error: unknown): boolean {
  const { cause } = ConnectError.from(error);
  return cutConnections.has((cause as { code?: unknown } | undefined)?.code);
}

function signIn(tokens: TokenSource): Interceptor {
  return (next) => async (request) => {
    request.header.set("authorization", `Bearer ${await tokens.token(false)}`);
    try {
      return await next(request);
    } catch (error) {
      if (ConnectError.from(error).code !== Code.Unauthenticated) throw error;
      request.header.set("authorization", `Bearer ${await tokens.token(true)}`);
      return next(request);
    }
  };
}
