/** The data plane's end of the spawner: asks for sandboxes, takes their streams, hears of their ends. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BiplaneError } from "@biplane/base";
import type { Logger } from "@biplane/kit";
import {
  decodeStreamHeader,
  type FromSpawner,
  type SandboxStream,
  type StartRequest,
  streamHeaderBytes,
  type ToSpawner,
} from "./spawner-protocol.ts";

export type Streams = Readonly<Record<SandboxStream, Socket>>;
export interface ProcessEnd {
  readonly exitCode?: number | undefined;
  readonly signal?: string | undefined;
}

export interface Spawned {
  readonly pid: number;
  readonly stdout: Socket;
  readonly stderr: Socket;
  readonly control: Socket | undefined;
  /** The process and everything inside its sandbox has ended. */
  readonly ended: Promise<ProcessEnd>;
  kill(): void;
}

interface Pending {
  readonly streams: Partial<Record<SandboxStream, Socket>>;
  readonly wanted: number;
  readonly started: PromiseWithResolvers<number>;
  readonly connected: PromiseWithResolvers<void>;
  readonly ended: PromiseWithResolvers<ProcessEnd>;
}

const headerMsMax = 10_000;

export class Spawner {
  readonly #folder = mkdtempSync(join(tmpdir(), "biplane-spawner-"));
  readonly #log: Logger;
  readonly #server: Server;
  readonly #listening: Promise<void>;
  readonly #pending = new Map<number, Pending>();
  #process: ChildProcess | undefined;
  #lastId = 0;
  #closed = false;

  constructor(log: Logger) {
    this.#log = log;
    this.#server = createServer((socket) => this.#take(socket));
    this.#listening = new Promise((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(this.#socketPath, resolve);
    });
    this.#listening.catch(() => {});
    // While the plane is still small.
    this.#process = this.#startProcess();
  }

  /** Resolves once the process runs. */
  async start(request: Omit<StartRequest, "socketPath">): Promise<Spawned> {
    if (this.#closed) throw cannotStart("The data plane is shutting down.");
    await this.#listening;
    this.#process ??= this.#startProcess();
    this.#lastId += 1;
    const id = this.#lastId;
    const pending: Pending = {
      streams: {},
      wanted: request.control ? 3 : 2,
      started: Promise.withResolvers(),
      connected: Promise.withResolvers(),
      ended: Promise.withResolvers(),
    };
    this.#pending.set(id, pending);
    this.#send({ id, start: { ...request, socketPath: this.#socketPath } });
    try {
      const [pid] = await Promise.all([pending.started.promise, pending.connected.promise]);
      const { stdout, stderr, control } = pending.streams;
      const kill = () => void (this.#pending.has(id) && this.#send({ id, kill: true }));
      return { pid, stdout: stdout!, stderr: stderr!, control, ended: pending.ended.promise, kill };
    } catch (error) {
      this.#pending.delete(id);
      for (const socket of Object.values(pending.streams)) socket.destroy();
      throw error;
    }
  }

  /** Folders of control groups in which nothing runs any more. */
  removeGroups(folders: readonly string[]): void {
    if (folders.length > 0) this.#send({ remove: folders });
  }

  /** Ends what still runs, and the process with it. */
  async close(): Promise<void> {
    this.#closed = true;
    const child = this.#process;
    const gone = child === undefined ? undefined : once(child, "exit").catch(() => {});
    if (child?.connected) child.disconnect();
    this.#server.close();
    rmSync(this.#folder, { recursive: true, force: true });
    await gone;
  }

  get #socketPath(): string {
    return join(this.#folder, "streams.sock");
  }

  #startProcess(): ChildProcess {
    const child = spawn(process.execPath, [spawnerFile()], {
      stdio: ["ignore", "ignore", "inherit", "ipc"],
      env: { PATH: process.env["PATH"] },
    });
    child.on("message", (message: FromSpawner) => this.#hear(message));
    child.once("error", () => this.#lost(child));
    child.once("exit", () => this.#lost(child));
    return child;
  }

  #send(message: ToSpawner): void {
    // A failure to send is the process's end, which is heard of as such.
    if (this.#process?.connected) this.#process.send(message, () => {});
  }

  #hear(message: FromSpawner): void {
    const pending = this.#pending.get(message.id);
    if (pending === undefined) return;
    if ("failed" in message) pending.started.reject(cannotStart(message.failed));
    else if ("started" in message) {
      const { pid } = message.started;
      if (pid === undefined) pending.started.reject(cannotStart("The shell could not be started."));
      else pending.started.resolve(pid);
    } else {
      this.#pending.delete(message.id);
      pending.ended.resolve(message.ended);
    }
  }

  /** Its sandboxes died with it; the next start starts another one. */
  #lost(child: ChildProcess): void {
    if (this.#process !== child) return;
    this.#process = undefined;
    if (!this.#closed) this.#log.error({ event: "spawner_lost" }, "the process that starts sandboxes ended");
    for (const pending of this.#pending.values()) {
      pending.started.reject(cannotStart("The process that starts sandboxes ended."));
      pending.connected.resolve();
      pending.ended.resolve({ signal: "SIGKILL" });
    }
    this.#pending.clear();
  }

  #take(socket: Socket): void {
    socket.on("error", () => {});
    const timer = setTimeout(() => socket.destroy(), headerMsMax).unref();
    const read = () => {
      const header = socket.read(streamHeaderBytes) as Buffer | null;
      if (header === null) return;
      clearTimeout(timer);
      socket.off("readable", read);
      const { id, stream } = decodeStreamHeader(header);
      const pending = this.#pending.get(id);
      if (pending === undefined || stream === undefined) return void socket.destroy();
      pending.streams[stream] = socket;
      if (Object.keys(pending.streams).length === pending.wanted) pending.connected.resolve();
    };
    socket.on("readable", read);
  }
}

/** Beside this file: in source as TypeScript, in a bundle as its own entry. */
function spawnerFile(): string {
  const inSource = import.meta.url.endsWith(".ts");
  const name = inSource ? "spawner-process.ts" : "sandbox-spawner.mjs";
  return join(import.meta.dirname, name);
}

function cannotStart(why: string): BiplaneError {
  return new BiplaneError(
    "unavailable",
    { what: "A sandbox could not be started.", why, next: "It is tried again with the next attempt." },
    { reason: "sandbox_start_failed" },
  );
}
