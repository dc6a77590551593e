/**
 * The task's way out, as programs expect one: a proxy on the sandbox's own loopback, which passes each connection on to the
 * data plane's. Nobody else is in that network, and what goes through is encrypted.
 */
import { createServer } from "node:http";
import type { Duplex } from "node:stream";
import { pipeline } from "node:stream/promises";
import { listenersMax, type OpenTunnel } from "./tunnel.ts";

const headersMsMax = 10_000;

/** Resolves once it listens, until the process ends; it does not keep it. */
export function serveRelay(port: number, open: OpenTunnel): Promise<void> {
  const server = createServer({ headersTimeout: headersMsMax });
  server.on("connect", (request, socket, head) => void relay(open, request.url ?? "", socket, head));
  // A request of plain HTTP: the data plane says that it passes none on, and has it on record.
  server.on("request", async (request, response) => {
    const answer = await open(request.url ?? "", "GET").catch(() => undefined);
    if (answer?.kind !== "refused") return void response.destroy();
    response.writeHead(answer.status, answer.reason, { "content-type": "application/json" });
    response.end(answer.body);
  });
  return new Promise((resolve) => {
    // Another process of the task's has the port: then it is the proxy.
    server.once("error", () => resolve());
    server.listen(port, "127.0.0.1", resolve).unref();
  });
}

async function relay(open: OpenTunnel, authority: string, socket: Duplex, head: Buffer): Promise<void> {
  socket.setMaxListeners(listenersMax).on("error", () => {});
  const tunnel = await open(authority).catch(() => undefined);
  if (tunnel === undefined) return void socket.destroy();
  if (tunnel.kind === "refused") {
    const { status, reason, body } = tunnel;
    const fields = `content-type: application/json\r\ncontent-length: ${body.length}\r\nconnection: close`;
    return void socket.end(`HTTP/1.1 ${status} ${reason}\r\n${fields}\r\n\r\n${body}`);
  }
  socket.write("HTTP/1.1 200 Connection established\r\n\r\n");
  if (head.length > 0) tunnel.socket.write(head);
  // Either side may end it as it likes.
  await pipeline(socket, tunnel.socket, socket).catch(() => {});
}
