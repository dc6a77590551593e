/**
 * `fetch` by the tunnels, where Node's own way (NODE_USE_ENV_PROXY) would load all of HTTP at each worker's start, and hide
 * why a host was refused. Node documents the symbol: https://nodejs.org/api/globals.html#custom-dispatcher
 */
import { connect, isIP, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { isBiplaneError } from "@biplane/base";
import type { OpenTunnel } from "./tunnel.ts";

interface ConnectOptions {
  readonly hostname: string;
  readonly port: string;
  readonly protocol: string;
  readonly servername: string | null;
}
type Connected = (error: Error | null, socket: Socket | null) => void;
type Dispatcher = new (options: {
  connect: (options: ConnectOptions, callback: Connected) => void;
}) => object;

const dispatcherName = Symbol.for("undici.globalDispatcher.1");

/** `isDirect` names the hosts to which no proxy leads. */
export function fetchByTunnel(open: OpenTunnel, isDirect: (hostname: string) => boolean): void {
  const fetch = globalThis.fetch;
  const connector = (options: ConnectOptions, callback: Connected) => {
    dial(open, isDirect, options).then(
      (socket) => callback(null, socket),
      (error: Error) => callback(error, null),
    );
  };
  let isReady = false;
  globalThis.fetch = async (...parameters) => {
    if (!isReady) useConnector(connector);
    isReady = true;
    try {
      return await fetch(...parameters);
    } catch (error) {
      throw explained(error);
    }
  };
}

function useConnector(connector: (options: ConnectOptions, callback: Connected) => void): void {
  // Loads what makes the dispatcher.
  void globalThis.Headers;
  const dispatchers = globalThis as unknown as Record<symbol, { constructor: Dispatcher }>;
  const { constructor: Agent } = dispatchers[dispatcherName]!;
  dispatchers[dispatcherName] = new Agent({ connect: connector }) as { constructor: Dispatcher };
}

async function dial(
  open: OpenTunnel,
  isDirect: (hostname: string) => boolean,
  { hostname, port, protocol, servername }: ConnectOptions,
): Promise<Socket> {
  const isTls = protocol === "https:";
  const number = Number(port || (isTls ? 443 : 80));
  const host = hostname.replace(/^\[|\]$/g, "");
  const bare = isDirect(host) ? connect(number, host) : await tunnelTo(open, host, number);
  if (!isTls) return isDirect(host) ? ready(bare, "connect") : bare;
  const name = servername || (isIP(host) === 0 ? host : "");
  const socket = connectTls({
    socket: bare,
    host,
    ...(name === "" ? {} : { servername: name }),
    ALPNProtocols: ["http/1.1"],
  });
  return ready(socket, "secureConnect");
}

async function tunnelTo(open: OpenTunnel, host: string, port: number): Promise<Socket> {
  const tunnel = await open(host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`);
  if (tunnel.kind === "refused") throw tunnel.error;
  return tunnel.socket as Socket;
}

function ready(socket: Socket, event: "connect" | "secureConnect"): Promise<Socket> {
  return new Promise((resolve, reject) => {
    socket.once("error", reject);
    socket.once(event, () => {
      socket.off("error", reject);
      resolve(socket);
    });
  });
}

/** `fetch` says that it failed; this says why, and what to do next. */
function explained(error: unknown): unknown {
  for (let at = error; at instanceof Error; at = at.cause) {
    if (isBiplaneError(at)) return new TypeError(at.message, { cause: at });
  }
  return error;
}
