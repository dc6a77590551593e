/**
 * The one module through which a plane opens connections, and the list of where to (claim RES-4). Enforced, the list holds
 * for every library in the process: nothing leaves it for a host and port that are not there.
 */
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import { Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { BiplaneError } from "@biplane/base";
import type { Closeable } from "./lifecycle.ts";

export { connectTls, HttpsAgent, httpsRequest };

export interface Destination {
  /** For people: `control plane`, `database`. */
  readonly purpose: string;
  /** Name or address as it is dialled. */
  readonly host: string;
  readonly port: number;
}

type Target = Pick<Destination, "host" | "port">;
type Connect = (this: Socket, ...parameters: unknown[]) => Socket;

export class Egress {
  readonly #destinations = new Map<string, Destination>();
  #sources: readonly (() => readonly Destination[])[] = [];
  #onRefused: (target: Target) => void = () => {};
  /** Whose connections somebody else decided on. */
  readonly #granted = new WeakSet<Socket>();

  allow(destination: Destination): void {
    this.#destinations.set(nameOf(destination), destination);
  }

  /** Whatever the source names at the moment is allowed: for addresses that change while the plane runs. */
  follow(source: () => readonly Destination[]): void {
    this.#sources = [...this.#sources, source];
  }

  /** By purpose. */
  list(): readonly Destination[] {
    const all = [...this.#destinations.values(), ...this.#sources.flatMap((source) => source())];
    return [...new Map(all.map((one) => [nameOf(one), one])).values()].sort((left, right) =>
      left.purpose < right.purpose ? -1 : 1,
    );
  }

  allows(target: Target): boolean {
    const name = nameOf(target);
    const isIn = (source: () => readonly Destination[]) => source().some((one) => nameOf(one) === name);
    return this.#destinations.has(name) || this.#sources.some(isIn);
  }

  /** Connects for somebody whose list is another one, to an address that was looked at: no name is resolved again. */
  connectFor(address: string, port: number): Socket {
    const socket = new Socket({ allowHalfOpen: true });
    this.#granted.add(socket);
    return socket.connect({ host: address, port });
  }

  onRefused(listener: (target: Target) => void): void {
    this.#onRefused = listener;
  }

  /**
   * From now on for the whole process, until closed. What is refused fails like any connection that fails. Connections
   * to unix sockets go nowhere and are not looked at.
   */
  enforce(): Closeable {
    const prototype = Socket.prototype as unknown as { connect: Connect };
    const connect = prototype.connect;
    const egress = this;
    prototype.connect = function (this: Socket, ...parameters: unknown[]) {
      const target = targetOf(parameters);
      if (target === undefined || egress.#granted.has(this) || egress.allows(target))
        return connect.apply(this, parameters);
      egress.#onRefused(target);
      // What waits for a connection that is being made must not take this one for made.
      Object.assign(this, { connecting: true });
      process.nextTick(() => this.destroy(refused(target)));
      return this;
    };
    return {
      close: async () => {
        prototype.connect = connect;
      },
    };
  }
}

const postgresPort = 5_432;

/** Where a `postgres://` URL leads; undefined for a unix socket: a folder in the host's place, or no host. */
export function databaseDestination(text: string): Destination | undefined {
  if (!URL.canParse(text)) return undefined;
  const url = new URL(text);
  const host = decodeURIComponent(url.searchParams.get("host") ?? url.hostname);
  if (host === "" || host.startsWith("/")) return undefined;
  const port = Number(url.searchParams.get("port") || url.port || postgresPort);
  return { purpose: "database", host: host.replace(/^\[|\]$/g, ""), port };
}

/** The forms of https://nodejs.org/api/net.html#socketconnect, and the one that Node's own modules use. */
function targetOf(parameters: readonly unknown[]): Target | undefined {
  const [first, second] = Array.isArray(parameters[0]) ? (parameters[0] as unknown[]) : parameters;
  if (typeof first === "object" && first !== null) {
    const { path, host, port } = first as { path?: unknown; host?: unknown; port?: unknown };
    if (typeof path === "string") return undefined;
    return { host: typeof host === "string" ? host : "localhost", port: Number(port) };
  }
  if (typeof first === "string" && !/^\d+$/.test(first)) return undefined;
  return { host: typeof second === "string" ? second : "localhost", port: Number(first) };
}

function nameOf({ host, port }: Target): string {
  return `${host.toLowerCase().replace(/^\[|\]$|\.$/g, "")} ${port}`;
}

function refused({ host, port }: Target): BiplaneError {
  return new BiplaneError(
    "permission_denied",
    {
      what: `This plane does not connect to ${host}:${port}.`,
      why: "It is not on the list of its destinations.",
      next: "Look at `biplane egress` for the list.",
    },
    { reason: "egress_refused" },
  );
}
