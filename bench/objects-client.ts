/**
 * One of the object bench's client processes: waits for a job on its IPC channel, sends presigned requests over its own
 * TLS connections, and answers with how many it did in which time. Knows nothing of who serves.
 */
import { once } from "node:events";
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
  sending.end(body);
  const [response] = (await once(sending, "response")) as [import("node:http").IncomingMessage];
  let received = 0;
  response.on("data", (chunk: Buffer) => {
    received += chunk.length;
  });
  await once(response, "end");
  if (response.statusCode !== 200) throw new Error(`${method} was answered with ${response.statusCode}.`);
  return received;
}
