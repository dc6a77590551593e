/**
 * The operator's entrance to a running control plane: HTTP on a unix socket in its state folder, which its owner alone
 * may open. It is no network socket; whoever reaches it could read the state folder as well.
 */
import { chmod, rm } from "node:fs/promises";
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from "node:http";
import { join } from "node:path";
import { BiplaneError, isBiplaneError, KiB, second } from "@biplane/base";
import type { Closeable } from "@biplane/kit";
import { readBody, readJson } from "@biplane/kit/http-body";
import { type Admin, type Answers, type Operation, operations, type Parameters } from "./admin.ts";

const bodyBytesMax = 64 * KiB;
const answerMsMax = 30 * second;
/** The kernel takes no longer path for a unix socket. */
const pathBytesMax = 107;

export function adminSocketPath(folder: string): string {
  return join(folder, "admin.sock");
}

export async function serveAdmin(folder: string, admin: Admin): Promise<Closeable> {
  const path = adminSocketPath(folder);
  if (Buffer.byteLength(path) > pathBytesMax) {
    throw new BiplaneError("invalid_argument", {
      what: `The path of the state folder is too long: ${folder}.`,
      why: `A unix socket's path has at most ${pathBytesMax} bytes.`,
      next: "Choose a shorter folder with --state.",
    });
  }
  // Of a process that was killed: `start` has asked whether one is alive.
  await rm(path, { force: true });
  const server = createServer({ requestTimeout: answerMsMax }, (incoming, outgoing) => {
    void answer(admin, incoming, outgoing);
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

/** The admin of the process that runs on this folder; undefined where none does. */
export async function findRunningAdmin(folder: string): Promise<Admin | undefined> {
  const path = adminSocketPath(folder);
  const alive = await send(path, "GET", "/", "").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT" || error.code === "ECONNREFUSED") return undefined;
    throw error;
  });
  if (alive === undefined) return undefined;
  return {
    run: async <O extends Operation>(operation: O, parameters: Parameters<O>) => {
      const { status, body } = await send(path, "POST", `/${operation}`, JSON.stringify(parameters));
      if (status === 200) return JSON.parse(body) as Answers[O];
      const { code, what, why, next } = JSON.parse(body);
      throw new BiplaneError(code, { what, why, next });
    },
  };
}

async function answer(admin: Admin, incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
  try {
    if (incoming.method === "GET") return reply(outgoing, 200, {});
    const operation = (incoming.url ?? "").slice(1);
    if (!Object.hasOwn(operations, operation)) {
      throw new BiplaneError("unimplemented", `There is no operation ${operation}.`);
    }
    const name = operation as Operation;
    const parsed = operations[name].safeParse(await readJson(incoming, bodyBytesMax));
    if (!parsed.success) {
      throw new BiplaneError("invalid_argument", {
        what: `The options of ${name} are not right.`,
        why: parsed.error.message,
      });
    }
    reply(outgoing, 200, await admin.run(name, parsed.data));
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
      readBody(incoming, bodyBytesMax).then(
        (body) => resolve({ status: incoming.statusCode ?? 0, body: body.toString("utf8") }),
        reject,
      );
    });
    outgoing.on("timeout", () => outgoing.destroy(new Error("The control plane does not answer.")));
    outgoing.on("error", reject);
    outgoing.end(body);
  });
}
