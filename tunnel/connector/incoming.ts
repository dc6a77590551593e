/** Turns one stream of the tunnel into one connection of a client: takes the PROXY header off and names the client. */
import { constants, type IncomingHttpHeaders, type ServerHttp2Stream } from "node:http2";
import { type Endpoint, parseProxyHeader, proxyHeaderBytesMax } from "@biplane/tunnel-protocol";
import { TunnelSocket } from "./tunnel-socket.ts";

export type ConnectionConsumer = (socket: TunnelSocket) => void;

export interface IncomingOptions {
  readonly services: ReadonlyMap<string, ConnectionConsumer>;
  /** Aborts when the connection beneath the streams takes no new ones. */
  readonly retiring: AbortSignal;
  readonly proxyHeaderMs: number;
}

/** Answers a stream. Whatever it asks for beyond a CONNECT to a served name is turned down. */
export function acceptStream(
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  { services, retiring, proxyHeaderMs }: IncomingOptions,
): void {
  // A stream that the edge resets must end itself alone, not the process.
  stream.on("error", () => {});
  const consumer = services.get(headers[":authority"] ?? "");
  if (headers[":method"] !== "CONNECT" || consumer === undefined) {
    stream.respond({ ":status": 404 }, { endStream: true });
    return;
  }
  stream.respond({ ":status": 200 });
  readProxyHeader(stream, proxyHeaderMs, (client) =>
    consumer(new TunnelSocket(stream, { client, retiring })),
  );
}

function readProxyHeader(
  stream: ServerHttp2Stream,
  waitMs: number,
  done: (client: Endpoint | undefined) => void,
): void {
  let received: Buffer = Buffer.alloc(0);
  const refuse = () => stream.close(constants.NGHTTP2_PROTOCOL_ERROR);
  const timer = setTimeout(refuse, waitMs);
  stream.once("close", () => clearTimeout(timer));
  const onData = (chunk: Buffer) => {
    received = received.length === 0 ? chunk : Buffer.concat([received, chunk]);
    const parsed = parseProxyHeader(received);
    if (parsed.kind === "incomplete" && received.length < proxyHeaderBytesMax) return;
    clearTimeout(timer);
    stream.off("data", onData);
    stream.pause();
    if (parsed.kind !== "header") return refuse();
    if (received.length > parsed.bytes) stream.unshift(received.subarray(parsed.bytes));
    done(parsed.connection.kind === "known" ? parsed.connection.client : undefined);
  };
  stream.on("data", onData);
}
