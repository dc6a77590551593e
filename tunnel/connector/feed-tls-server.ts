/** Serves tunnel connections with an ordinary TLS server that never listens. */
import { AsyncLocalStorage } from "node:async_hooks";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Http2Session } from "node:http2";
import type { Server, TLSSocket } from "node:tls";
import type { ConnectionConsumer } from "./incoming.ts";
import type { TunnelSocket } from "./tunnel-socket.ts";

/**
 * A consumer that hands connections to a `tls`, `https` or `http2` server. The server's TLS sockets (`req.socket`) then
 * show the public client's `remoteAddress` and `remotePort`, as the edge reports them. HTTP clients are told to come again
 * in time before the tunnel's connection ends: what they have under way would be cut with it.
 */
export function feedTlsServer(server: Server): ConnectionConsumer {
  // A TLS socket does not tell which stream it runs on; the context that it was made in does.
  const origin = new AsyncLocalStorage<TunnelSocket>();
  server.prependListener("secureConnection", (socket: TLSSocket) => {
    const client = origin.getStore();
    if (client === undefined) return;
    Object.defineProperties(socket, {
      remoteAddress: { value: client.remoteAddress, configurable: true },
      remotePort: { value: client.remotePort, configurable: true },
    });
  });
  server.on("session", (session: Http2Session) => {
    const client = origin.getStore();
    if (client !== undefined) closeWhen(client.retiring, session);
  });
  const sayLast = (request: IncomingMessage, response: ServerResponse) => {
    const isLast = request.httpVersionMajor === 1 && origin.getStore()?.retiring.aborted;
    if (isLast) response.setHeader("connection", "close");
  };
  // A first listener would make an HTTP/2 server that answers streams itself answer them twice.
  if (server.listenerCount("request") > 0) server.prependListener("request", sayLast);
  // HTTP servers watch over their connections from this event on: slow requests end, and idle ones when the server closes.
  server.emit("listening");
  return (socket) => origin.run(socket, () => server.emit("connection", socket));
}

/** By GOAWAY: requests under way are answered; those that cross it are refused unprocessed (RFC 9113, section 8.7). */
function closeWhen(retiring: AbortSignal, session: Http2Session): void {
  const close = () => session.close();
  if (retiring.aborted) close();
  else retiring.addEventListener("abort", close, { once: true });
  session.once("close", () => retiring.removeEventListener("abort", close));
}
