/**
 * The tasks' only way out: each sandbox has an entrance of its own, by which the proxy knows who speaks. A task names a
 * host (HTTP's CONNECT); the proxy decides, records, dials the very address that it judged, and from then on carries bytes
 * that are encrypted between the task and the host.
 */
import { chmod } from "node:fs/promises";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer } from "node:https";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { pipeline } from "node:stream/promises";
import { type AttemptId, BiplaneError, KiB, minute, second } from "@biplane/base";
import { type AuditInput, eventOf } from "@biplane/kit/audit-log";
import type { Logger } from "@biplane/kit/logging";
import { serverTlsOptions, type TlsIdentity } from "@biplane/kit/tls";
import { taskSubject } from "../identity/types.ts";
import { allowsTarget, mayDial, type Target } from "./allowed-hosts.ts";
import { type DecisionParts, decideEgress, unreadable } from "./decide.ts";
import { refusalHead, statusOf } from "./refusal.ts";

export interface TaskEgressParts extends DecisionParts {
  /** Opens a connection to an address. */
  readonly connect: (address: string, port: number) => Socket;
  /** Resolves once on disk. */
  readonly record: (input: AuditInput) => Promise<void>;
  readonly identity: () => TlsIdentity;
  readonly log: Logger;
}

type Inside = () => AttemptId | undefined;

interface Tunnel {
  readonly project: string;
  readonly target: Target;
  readonly address: string;
  end(): void;
}

const headerBytesMax = 8 * KiB;
const headerMsMax = 10 * second;
const connectMsMax = 10 * second;
/** Without a byte either way. */
const idleMsMax = 10 * minute;
const listenersMax = 32;
const tunnelsPerSandboxMax = 64;
const tunnelsMax = 1_024;

export class TaskEgress {
  readonly #parts: TaskEgressParts;
  readonly #tunnels = new Set<Tunnel>();
  /** Decided, dialled or open. */
  #count = 0;

  constructor(parts: TaskEgressParts) {
    this.#parts = parts;
  }

  /** Listens on `path` for one sandbox. */
  async openSandbox(path: string, attempt: Inside): Promise<{ close(): void }> {
    const server = createServer({
      ...serverTlsOptions({ identity: this.#parts.identity() }),
      // Who has sent all may still be answered; otherwise the rest of the answer would be lost.
      allowHalfOpen: true,
      maxHeaderSize: headerBytesMax,
      headersTimeout: headerMsMax,
      requestTimeout: headerMsMax,
    });
    server.maxConnections = tunnelsPerSandboxMax * 2;
    const sockets = new Set<Duplex>();
    server.on("secureConnection", (socket) => {
      sockets.add(socket);
      // Two directions, TLS and HTTP listen to each: more than Node takes for a leak.
      socket.setMaxListeners(listenersMax);
      socket.on("error", () => {}).once("close", () => sockets.delete(socket));
    });
    let open = 0;
    server.on("connect", (request, socket, head) => {
      open += 1;
      void this.#serve(request, socket, head, attempt, open > tunnelsPerSandboxMax).finally(() => {
        open -= 1;
      });
    });
    server.on("clientError", (_, socket) => void this.#refuseUnread(socket, attempt));
    server.on("request", (request, response) => void this.#refusePlain(request, response, attempt));
    await new Promise<void>((resolve, reject) => server.once("error", reject).listen(path, resolve));
    // The sandbox runs as another user; its folder is what keeps everybody else out.
    await chmod(path, 0o666);
    const close = () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    };
    return { close };
  }

  /** Ends what is no longer allowed. */
  review(): void {
    for (const { project, target, address, end } of this.#tunnels) {
      const list = this.#parts.hostsOf(project);
      if (!allowsTarget(list, target) || !mayDial(list, address, target.port)) end();
    }
  }

  async #serve(
    request: IncomingMessage,
    socket: Duplex,
    head: Buffer,
    inside: Inside,
    isFull: boolean,
  ): Promise<void> {
    this.#count += 1;
    try {
      const attempt = inside();
      const authority = request.url ?? "";
      if (isFull || this.#count > tunnelsMax) return await this.#refuse(socket, attempt, authority, full());
      const decision = await decideEgress(this.#parts, attempt, authority);
      if (decision.kind === "refused") return await this.#refuse(socket, attempt, authority, decision.error);
      await this.#parts.record(recordOf(attempt, authority));
      const dialled = await this.#dial(decision.addresses, decision.target.port);
      if (dialled === undefined) return answer(socket, unreachableHost(decision.target));
      if (head.length > 0) dialled.upstream.write(head);
      socket.write("HTTP/1.1 200 Connection established\r\n\r\n");
      const { project } = attempt!;
      await this.#carry(socket, dialled.upstream, {
        project,
        target: decision.target,
        address: dialled.address,
      });
    } catch (error) {
      // The audit log could not be written: what can't be recorded does not happen.
      this.#parts.log.error({ event: "egress_failed", error }, "a task's connection could not be served");
      socket.destroy();
    } finally {
      this.#count -= 1;
    }
  }

  async #refuse(
    socket: Duplex,
    attempt: AttemptId | undefined,
    authority: string,
    error: BiplaneError,
  ): Promise<void> {
    await this.#parts.record(recordOf(attempt, authority, error));
    answer(socket, error);
  }

  /** What is no HTTP, or too long, or comes too slowly. */
  async #refuseUnread(socket: Duplex, inside: Inside): Promise<void> {
    if (!socket.writable) return;
    await this.#refuse(socket, inside(), "", unreadable()).catch(() => socket.destroy());
  }

  /** A request of plain HTTP, which the proxy would have to read. */
  async #refusePlain(request: IncomingMessage, response: ServerResponse, inside: Inside): Promise<void> {
    const error = plainHttp();
    try {
      await this.#parts.record(recordOf(inside(), request.url ?? "", error));
      response.writeHead(statusOf(error), { connection: "close", "content-type": "application/json" });
      response.end(JSON.stringify(error));
    } catch (failure) {
      this.#parts.log.error({ event: "egress_failed", error: failure }, "a refusal could not be recorded");
      response.destroy();
    }
  }

  async #dial(
    addresses: readonly string[],
    port: number,
  ): Promise<{ address: string; upstream: Socket } | undefined> {
    for (const address of addresses) {
      const upstream = await connected(this.#parts.connect(address, port));
      if (upstream !== undefined) return { address, upstream };
    }
    return undefined;
  }

  /** Each side waits while the other one can't take more. */
  async #carry(socket: Duplex, upstream: Socket, what: Omit<Tunnel, "end">): Promise<void> {
    const tunnel: Tunnel = { ...what, end: () => upstream.destroy() };
    this.#tunnels.add(tunnel);
    upstream.setTimeout(idleMsMax, tunnel.end);
    // It may have been withdrawn while the host was dialled.
    this.review();
    try {
      await pipeline(socket, upstream, socket);
    } catch {
      // Either side may end it as it likes; the other one is ended with it.
    } finally {
      this.#tunnels.delete(tunnel);
      upstream.destroy();
      socket.destroy();
    }
  }
}

function connected(socket: Socket): Promise<Socket | undefined> {
  return new Promise((resolve) => {
    const give = (result: Socket | undefined) => {
      socket.setTimeout(0);
      socket.removeAllListeners("timeout");
      if (result === undefined) socket.destroy();
      resolve(result);
    };
    socket.on("error", () => give(undefined));
    socket.once("connect", () => give(socket));
    socket.setTimeout(connectMsMax, () => give(undefined));
  });
}

function answer(socket: Duplex, error: BiplaneError): void {
  socket.on("error", () => {});
  socket.end(refusalHead(error));
}

function recordOf(attempt: AttemptId | undefined, authority: string, error?: BiplaneError): AuditInput {
  const isDenied = error?.code === "permission_denied";
  return eventOf("TASK_EGRESS", {
    decision: error === undefined ? "allowed" : isDenied ? "denied" : "refused",
    subject: "",
    ...(attempt === undefined ? {} : placeOf(attempt)),
    method: "CONNECT",
    address: authority,
    addressFrom: "sandbox",
    ...(error === undefined ? {} : { reason: error.reason ?? error.code }),
  });
}

function placeOf(attempt: AttemptId): Partial<AuditInput> {
  const { project, domain, run, action, attempt: number } = attempt;
  return { subject: taskSubject(attempt), project, domain, run, action, attempt: number };
}

function full(): BiplaneError {
  return new BiplaneError(
    "resource_exhausted",
    {
      what: "Too many connections lead out of sandboxes.",
      why: `${tunnelsPerSandboxMax} of one task and ${tunnelsMax} of all are the most.`,
      next: "Close what is not needed any more, and try again.",
    },
    { reason: "too_many_connections" },
  );
}

function unreachableHost({ host, port }: Target): BiplaneError {
  return new BiplaneError(
    "unavailable",
    {
      what: `${host} does not take connections at port ${port}.`,
      why: "It refused them, or did not answer in time.",
      next: "Try again later, or look whether the data plane's machine reaches it.",
    },
    { reason: "host_unreachable" },
  );
}

function plainHttp(): BiplaneError {
  return new BiplaneError(
    "unimplemented",
    {
      what: "Requests of plain HTTP are not passed on.",
      why: "Whoever carries them could read and change them.",
      next: "Use https, or open a tunnel (CONNECT).",
    },
    { reason: "plain_http" },
  );
}
