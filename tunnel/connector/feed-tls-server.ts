/** Serves tunnel connections with an ordinary TLS server that never listens. */
import { AsyncLocalStorage } from "node:async_hooks";
import type { Server, TLSSocket } from "node:tls";
import type { ConnectionConsumer } from "./incoming.ts";
import type { TunnelSocket } from "./tunnel-socket.ts";

/**
 * A consumer that hands connections to a `tls`, `https` or `http2` server. The server's TLS sockets (`req.socket`) then
 * show the public client's `remoteAddress` and `remotePort`, as the edge reports them.
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
  // HTTP servers watch over their connections from this event on: slow requests end, and idle ones when the server closes.
  server.emit("listening");
  return (socket) => origin.run(socket, () => server.emit("connection", socket));
}
