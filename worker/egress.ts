/**
 * The task's way out, as programs expect one: a proxy on the sandbox's own loopback, which passes each connection on to the
 * data plane's through a socket of the sandbox's. Nobody else is in that network, and what goes through is encrypted.
 */
import { readFileSync } from "node:fs";
import { createServer, type IncomingMessage } from "node:http";
import { Agent, request } from "node:https";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import { pipeline } from "node:stream/promises";
import { BiplaneError, type ErrorCode, KiB } from "@biplane/base";
import { clientTlsOptions } from "@biplane/kit/tls";

export interface EgressOptions {
  readonly port: number;
  readonly socketFolder: string;
  /** Name that the data plane's certificate has to have. */
  readonly host: string;
}

const headersMsMax = 10_000;
const refusalBytesMax = 16 * KiB;
const refusalsMax = 256;
const listenersMax = 32;
/** The proxy of a program's environment says no more than this of a refusal. */
const tunnelRefused = /^Proxy response \(\d+\)/;

export function openEgress(options: EgressOptions): void {
  const refusals = new Map<string, BiplaneError>();
  const authorityPem = readFileSync(join(options.socketFolder, "root.pem"), "utf8");
  const agent = new Agent({ ...clientTlsOptions({ authorityPem }), servername: options.host });
  const socketPath = join(options.socketFolder, "egress.sock");
  const server = createServer({ headersTimeout: headersMsMax });
  server.on("connect", (incoming, socket, head) => {
    const path = incoming.url ?? "";
    const outgoing = request({ agent, socketPath, method: "CONNECT", path });
    outgoing.on("connect", (answer, upstream, first) => {
      if (answer.statusCode === 200) void tunnel(socket, upstream, head, first);
      else void refuse(socket, path, answer, upstream, first, refusals);
    });
    socket.on("error", () => outgoing.destroy());
    outgoing.on("error", () => socket.destroy());
    outgoing.end();
  });
  server.on("request", (incoming, response) => {
    const outgoing = request({ agent, socketPath, method: "GET", path: incoming.url ?? "/" });
    outgoing.on("response", (answer) => {
      response.writeHead(answer.statusCode ?? 502, { "content-type": "application/json" });
      answer.pipe(response);
    });
    outgoing.on("error", () => response.destroy());
    outgoing.end();
  });
  server.on("error", () => {});
  server.listen(options.port, "127.0.0.1").unref();
  globalThis.fetch = explained(globalThis.fetch, refusals);
}

async function tunnel(socket: Duplex, upstream: Duplex, head: Buffer, first: Buffer): Promise<void> {
  socket.write("HTTP/1.1 200 Connection established\r\n\r\n");
  if (first.length > 0) socket.write(first);
  if (head.length > 0) upstream.write(head);
  // TLS, HTTP and two directions listen to each: more than Node takes for a leak.
  for (const one of [socket, upstream]) one.setMaxListeners(listenersMax);
  // Either side may end it as it likes.
  await pipeline(socket, upstream, socket).catch(() => {});
}

async function refuse(
  socket: Duplex,
  target: string,
  { statusCode, statusMessage }: IncomingMessage,
  upstream: Duplex,
  first: Buffer,
  refusals: Map<string, BiplaneError>,
): Promise<void> {
  let body = first;
  try {
    for await (const chunk of upstream) {
      body = Buffer.concat([body, chunk as Buffer]);
      if (body.length > refusalBytesMax) break;
    }
  } catch {
    // What came will do.
  }
  if (refusals.size >= refusalsMax) refusals.clear();
  const refusal = readRefusal(body);
  if (refusal !== undefined) refusals.set(target, refusal);
  const head = `HTTP/1.1 ${statusCode} ${statusMessage}\r\ncontent-type: application/json\r\n`;
  socket.end(`${head}content-length: ${body.length}\r\nconnection: close\r\n\r\n${body}`);
}

function readRefusal(body: Buffer): BiplaneError | undefined {
  try {
    const { code, reason, what, why, next } = JSON.parse(body.toString("utf8")) as Record<string, string>;
    const text = {
      what: what ?? "",
      ...(why === undefined ? {} : { why }),
      ...(next === undefined ? {} : { next }),
    };
    return new BiplaneError(code as ErrorCode, text, reason === undefined ? {} : { reason });
  } catch {
    return undefined;
  }
}

/** `fetch` says that it failed; this says why, and what to do next. */
function explained(fetch: typeof globalThis.fetch, refusals: ReadonlyMap<string, BiplaneError>) {
  return async (...parameters: Parameters<typeof fetch>): Promise<Response> => {
    try {
      return await fetch(...parameters);
    } catch (error) {
      const refusal = isTunnelRefused(error) ? refusals.get(targetOf(parameters[0])) : undefined;
      throw refusal === undefined ? error : new TypeError(refusal.message, { cause: refusal });
    }
  };
}

function isTunnelRefused(error: unknown): boolean {
  for (let at = error; at instanceof Error; at = at.cause) if (tunnelRefused.test(at.message)) return true;
  return false;
}

function targetOf(resource: Parameters<typeof globalThis.fetch>[0]): string {
  const url = new URL(resource instanceof Request ? resource.url : resource);
  return `${url.hostname}:${url.port || (url.protocol === "http:" ? 80 : 443)}`;
}
