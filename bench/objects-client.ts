/**
 * One of the object bench's client processes: waits for a job on its IPC channel, sends presigned requests over its own
 * TLS connections, and answers with how many it did in which time. Knows nothing of who serves.
 */
import { once } from "node:events";
import type { ClientRequest, IncomingMessage } from "node:http";
import { Agent, request } from "node:https";

export interface ObjectsJob {
  readonly method: "GET" | "PUT";
  readonly urls: readonly string[];
  readonly bodyBytes: number;
  readonly connections: number;
  /** Ends after this time, or with `requestsMax`, whichever is first. */
  readonly durationMs: number;
  readonly requestsMax: number;
  readonly authorityPem: string;
}

export interface ObjectsJobResult {
  readonly requests: number;
  readonly elapsedMs: number;
}

const pieceBytes = 256 * 1024;

process.on("message", async (job: ObjectsJob) => {
  process.send!(await run(job).catch((error: unknown) => ({ error: String(error) })));
});

async function run(job: ObjectsJob): Promise<ObjectsJobResult> {
  const agent = new Agent({ keepAlive: true, maxSockets: job.connections, ca: job.authorityPem });
  const body = job.method === "PUT" ? Buffer.alloc(job.bodyBytes, "biplane ") : undefined;
  const startedAt = performance.now();
  let sent = 0;
  let done = 0;
  const worker = async () => {
    while (performance.now() - startedAt < job.durationMs && sent < job.requestsMax) {
      const url = job.urls[sent % job.urls.length]!;
      sent += 1;
      const received = await exchange(agent, job.method, url, body);
      if (job.method === "GET" && received !== job.bodyBytes) throw new Error(`Got ${received} bytes.`);
      done += 1;
    }
  };
  await Promise.all(Array.from({ length: job.connections }, worker));
  const elapsedMs = performance.now() - startedAt;
  agent.destroy();
  return { requests: done, elapsedMs };
}

async function exchange(
  agent: Agent,
  method: string,
  url: string,
  body: Buffer | undefined,
): Promise<number> {
  const headers = body === undefined ? {} : { "content-length": body.length };
  const sending = request(url, { agent, method, headers });
  const answered = once(sending, "response") as Promise<[IncomingMessage]>;
  await Promise.race([sendBody(sending, body), answered]);
  const [response] = await answered;
  let received = 0;
  response.on("data", (chunk: Buffer) => {
    received += chunk.length;
  });
  await once(response, "end");
  if (response.statusCode !== 200) throw new Error(`${method} was answered with ${response.statusCode}.`);
  return received;
}

/** Piece by piece: a large body at once would be encrypted at once, and keep other connections from their handshake. */
async function sendBody(sending: ClientRequest, body: Buffer | undefined): Promise<void> {
  let rest = body ?? Buffer.alloc(0);
  for (; rest.length > pieceBytes; rest = rest.subarray(pieceBytes)) {
    if (!sending.write(rest.subarray(0, pieceBytes))) await once(sending, "drain");
  }
  sending.end(rest);
}
