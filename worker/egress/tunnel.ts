/** Asks the data plane's proxy for a host, by the sandbox's own socket; TLS and names verified as anywhere else. */
import { readFileSync } from "node:fs";
import { Agent, request } from "node:https";
import { join } from "node:path";
import type { Duplex, Readable } from "node:stream";
import { BiplaneError, type ErrorCode, KiB } from "@biplane/base";
import { clientTlsOptions } from "@biplane/kit/tls";

export interface EgressPlace {
  readonly socketFolder: string;
  /** Name that the data plane's certificate has to have. */
  readonly host: string;
}

export type Tunnel =
  | { readonly kind: "open"; readonly socket: Duplex }
  | {
      readonly kind: "refused";
      /** As the proxy answered. */
      readonly status: number;
      readonly reason: string;
      readonly body: Buffer;
      readonly error: BiplaneError;
    };

/** `GET`: of plain HTTP, which is refused; the proxy has it on record. */
export type OpenTunnel = (target: string, method?: "CONNECT" | "GET") => Promise<Tunnel>;

const refusalBytesMax = 16 * KiB;
/** TLS, HTTP and two directions listen to each: more than Node takes for a leak. */
export const listenersMax = 32;
/** Longer than the proxy takes to say that a host does not answer. */
const answerMsMax = 120_000;

/** Rejects where the data plane itself can't be reached. */
export function createTunnels({ socketFolder, host }: EgressPlace): OpenTunnel {
  const socketPath = join(socketFolder, "egress.sock");
  let agent: Agent | undefined;
  return (target, method = "CONNECT") => {
    // Most tasks ask for nothing.
    agent ??= new Agent({
      ...clientTlsOptions({ authorityPem: readFileSync(join(socketFolder, "root.pem"), "utf8") }),
      servername: host,
    });
    const options = { agent, socketPath, method, path: target, timeout: answerMsMax };
    return new Promise((resolve, reject) => {
      const asked = request(options);
      asked.on("connect", ({ statusCode = 0, statusMessage = "" }, socket, head) => {
        socket
          .setTimeout(0)
          .setMaxListeners(listenersMax)
          .on("error", () => {});
        if (head.length > 0) socket.unshift(head);
        if (statusCode === 200) return resolve({ kind: "open", socket });
        void readRefusal(socket, target, statusCode, statusMessage).then(resolve);
      });
      asked.on("response", (answer) => {
        const { statusCode = 0, statusMessage = "" } = answer;
        void readRefusal(answer, target, statusCode, statusMessage).then(resolve);
      });
      asked.on("timeout", () => asked.destroy(new Error("The data plane's proxy fell silent.")));
      asked.on("error", reject);
      asked.end();
    });
  };
}

async function readRefusal(
  stream: Readable,
  target: string,
  status: number,
  reason: string,
): Promise<Tunnel> {
  const body = await readAll(stream);
  return { kind: "refused", status, reason, body, error: errorIn(body, target) };
}

async function readAll(stream: Readable): Promise<Buffer> {
  let body = Buffer.alloc(0);
  try {
    for await (const chunk of stream) {
      body = Buffer.concat([body, chunk as Buffer]);
      if (body.length > refusalBytesMax) break;
    }
  } catch {
    // What came will do.
  }
  return body;
}

function errorIn(body: Buffer, target: string): BiplaneError {
  try {
    const { code, reason, what, why, next } = JSON.parse(body.toString("utf8")) as Record<string, string>;
    const text = {
      what: what ?? "",
      ...(why === undefined ? {} : { why }),
      ...(next === undefined ? {} : { next }),
    };
    return new BiplaneError(code as ErrorCode, text, reason === undefined ? {} : { reason });
  } catch {
    return new BiplaneError("unavailable", `The data plane's proxy does not connect to ${target}.`);
  }
}
