/**
 * The operator's entrance to a running plane: HTTP on a unix socket in its state folder, which its owner alone may
 * open. It is no network socket; whoever reaches it could read the state folder as well.
 */
import { chmod, rm } from "node:fs/promises";
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from "node:http";
import { join } from "node:path";
import { BiplaneError, isBiplaneError, KiB, MiB, second } from "@biplane/base";
import { readBody, readJson } from "./http-body.ts";
import type { Closeable } from "./lifecycle.ts";

/** Does one operation; answers with what JSON can hold. */
export type LocalOperations = (operation: string, parameters: unknown) => Promise<object>;

const requestBytesMax = 64 * KiB;
const answerBytesMax = 64 * MiB;
const answerMsMax = 30 * second;
/** The kernel takes no longer path for a unix socket. */
const pathBytesMax = 107;

export async function serveLocalOperations(folder: string, operations: LocalOperations): Promise<Closeable> {
  const path = socketPath(folder);
  if (Buffer.byteLength(path) > pathBytesMax) {
    throw new BiplaneError("invalid_argument", {
      what: `The path of the state folder is too long: ${folder}.`,
      why: `A unix socket's path has at most ${pathBytesMax} bytes.`,
      next: "Choose a shorter folder with --state.",
    });
  }
  // Of a process that was killed: whoever starts has asked whether one is alive.
  await rm(path, { force: true });
  const server = createServer({ requestTimeout: answerMsMax }, (incoming, outgoing) => {
    void answer(operations, incoming, outgoing);
  });
  await listenOn(server, path);
  await chmod(path, 0o600);
  return {
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** Operations of the process that runs on this folder; undefined where none does. */
export async function findLocalOperations(folder: string): Promise<LocalOperations | undefined> {
  const path = socketPath(folder);
  const alive = await send(path, "GET", "/", "").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT" || error.code === "ECONNREFUSED") return undefined;
    throw error;
  });
  if (alive === undefined) return undefined;
  return async (operation, parameters) => {
    const { status, body } = await send(path, "POST", `/${operation}`, JSON.stringify(parameters));
    const content = JSON.parse(body) as Record<string, string>;
    if (status === 200) return content;
    const { code, what = "", why, next } = content;
    throw new BiplaneError(code as "internal", {
      what,
      ...(why === undefined ? {} : { why }),
      ...(next === undefined ? {} : { next }),
    });
  };
}

function socketPath(folder: string): string {
  return join(folder, "admin.sock");
}

async function answer(
  operations: LocalOperations,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
): Promise<void> {
  try {
    if (incoming.method === "GET") return reply(outgoing, 200, {});
    const operation = (incoming.url ?? "").slice(1);
    reply(outgoing, 200, await operations(operation, await readJson(incoming, requestBytesMax)));
  } catch (error) {
    const known = isBiplaneError(error)
      ? error
      : new BiplaneError("internal", "The operation failed inside.");
    reply(outgoing, 400, known.toJSON());
  }
}

function reply(outgoing: ServerResponse, status: number, content: object): void {
  outgoing.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(content));
}

function listenOn(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(path, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

function send(
  socketPath: string,
  method: string,
  path: string,
  body: string,
): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ socketPath, method, path, timeout: answerMsMax }, (incoming) => {
      readBody(incoming, answerBytesMax).then(
        (content) => resolve({ status: incoming.statusCode ?? 0, body: content.toString("utf8") }),
        reject,
      );
    });
    outgoing.on("timeout", () => outgoing.destroy(new Error("The plane does not answer.")));
    outgoing.on("error", reject);
    outgoing.end(body);
  });
}
