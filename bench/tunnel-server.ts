/** The customer's side of the tunnel bench: one TLS server, reached directly on a port and through a connector. */
import { createServer as createHttpsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { createServer, type Server, type TLSSocket } from "node:tls";
import { createLogger } from "@biplane/kit/logging";
import { serverTlsOptions } from "@biplane/kit/tls";
import { feedTlsServer, startConnector } from "@biplane/tunnel-connector";
import { receiveSetup, report, type ServerSetup } from "./tunnel-messages.ts";

const chunk = Buffer.alloc(64 * 1024, "biplane ");

/** First line: `down BYTES` or `up BYTES`; the sum of an upload is acknowledged with one byte. */
function serveBulk(socket: TLSSocket): void {
  socket.on("error", () => {});
  socket.once("data", (first: Buffer) => {
    const [line = ""] = first.toString("latin1", 0, 64).split("\n");
    const [direction, count] = line.split(" ");
    const bytes = Number(count);
    if (direction === "down") sendBytes(socket, bytes);
    else countBytes(socket, bytes, first.length - line.length - 1);
  });
}

function sendBytes(socket: TLSSocket, bytes: number): void {
  let left = bytes;
  const send = () => {
    while (left > 0) {
      const part = chunk.subarray(0, Math.min(left, chunk.length));
      left -= part.length;
      if (!socket.write(part)) break;
    }
    if (left <= 0) socket.end();
    else socket.once("drain", send);
  };
  send();
}

function countBytes(socket: TLSSocket, bytes: number, already: number): void {
  let received = already;
  socket.on("data", (part: Buffer) => {
    received += part.length;
    if (received >= bytes) socket.end("k");
  });
}

async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return (server.address() as AddressInfo).port;
}

const setup = await receiveSetup<ServerSetup>();
const tls = serverTlsOptions({ identity: setup.serverIdentity });
const bulk = createServer(tls, serveBulk);
const requests = createHttpsServer({ ...tls, keepAliveTimeout: 60_000 }, (request, response) => {
  const parts: Buffer[] = [];
  request.on("data", (part: Buffer) => parts.push(part));
  request.on("end", () => response.end(Buffer.concat(parts)));
});
const connector = startConnector({
  edge: setup.edge,
  authorityPem: setup.providerPem,
  identity: () => setup.connectorIdentity,
  services: {
    [`bulk.${setup.tunnelName}`]: feedTlsServer(bulk),
    [`requests.${setup.tunnelName}`]: feedTlsServer(requests),
  },
  log: createLogger({ component: "connector" }),
});
const ports = { bulkPort: await listen(bulk), requestsPort: await listen(requests) };
await connector.connected(AbortSignal.timeout(10_000));
report({ ready: true, ...ports });
