/** The load generator of the tunnel bench: does the jobs that its parent sends, one at a time. */
import { once } from "node:events";
import { Agent, request } from "node:https";
import { connect, type TLSSocket } from "node:tls";
import type { BulkJob, BulkResult, RequestsJob, RequestsResult } from "./tunnel-messages.ts";
import { receiveSetup, report } from "./tunnel-messages.ts";

const chunk = Buffer.alloc(64 * 1024, "biplane ");
/** A request that takes longer counts as an error. */
const requestMsMax = 5_000;

async function runBulk(job: BulkJob): Promise<BulkResult> {
  const socket = connect({
    port: job.port,
    host: "127.0.0.1",
    servername: "localhost",
    ca: job.authorityPem,
  });
  await once(socket, "secureConnect");
  const startedMs = performance.now();
  socket.write(`${job.direction} ${job.bytes}\n`);
  const received = receive(socket);
  if (job.direction === "up") await send(socket, job.bytes);
  const expected = job.direction === "down" ? job.bytes : 1;
  const bytes = await received;
  if (bytes !== expected) throw new Error(`${bytes} bytes arrived, not ${expected}.`);
  return { seconds: (performance.now() - startedMs) / 1_000 };
}

async function send(socket: TLSSocket, bytes: number): Promise<void> {
  for (let left = bytes; left > 0; left -= chunk.length) {
    if (!socket.write(chunk.subarray(0, Math.min(left, chunk.length)))) await once(socket, "drain");
  }
}

async function receive(socket: TLSSocket): Promise<number> {
  let bytes = 0;
  socket.on("data", (part: Buffer) => {
    bytes += part.length;
  });
  await once(socket, "end");
  socket.destroy();
  return bytes;
}

/** Open loop: requests start by the clock, whether or not earlier ones were answered; waiting counts as latency. */
async function runRequests(job: RequestsJob): Promise<RequestsResult> {
  const agent = new Agent({
    keepAlive: true,
    maxSockets: job.sockets,
    ca: job.authorityPem,
    servername: "localhost",
  });
  const body = Buffer.alloc(job.bodyBytes, "x");
  await Promise.all(Array.from({ length: job.sockets }, () => exchange(agent, job.port, body)));
  const count = Math.round((job.perSecond * job.durationMs) / 1_000);
  const outcomes: Promise<number | undefined>[] = [];
  const startedMs = performance.now();
  while (outcomes.length < count) {
    const due = Math.min(count, Math.floor(((performance.now() - startedMs) * job.perSecond) / 1_000) + 1);
    while (outcomes.length < due) {
      const dueMs = startedMs + (outcomes.length * 1_000) / job.perSecond;
      outcomes.push(
        exchange(agent, job.port, body).then(
          () => performance.now() - dueMs,
          () => undefined,
        ),
      );
    }
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  const latencies = await Promise.all(outcomes);
  agent.destroy();
  return summarize(latencies);
}

function exchange(agent: Agent, port: number, body: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ agent, port, host: "127.0.0.1", method: "POST", timeout: requestMsMax });
    outgoing.once("timeout", () => outgoing.destroy(new Error("timeout")));
    outgoing.once("error", reject);
    outgoing.once("response", (response) => {
      let bytes = 0;
      response.on("data", (part: Buffer) => {
        bytes += part.length;
      });
      response.once("error", reject);
      response.once("end", () => (bytes === body.length ? resolve() : reject(new Error("short answer"))));
    });
    outgoing.end(body);
  });
}

function summarize(latencies: readonly (number | undefined)[]): RequestsResult {
  const good = latencies.filter((one) => one !== undefined).sort((a, b) => a - b);
  const quantile = (part: number) =>
    good[Math.min(good.length - 1, Math.floor(good.length * part))] ?? Number.NaN;
  return {
    sent: latencies.length,
    errors: latencies.length - good.length,
    p50Ms: quantile(0.5),
    p99Ms: quantile(0.99),
  };
}

await receiveSetup();
process.on("message", (job: BulkJob | RequestsJob) => {
  const result = job.kind === "bulk" ? runBulk(job) : runRequests(job);
  result.then(report, (error: unknown) => report({ failed: String(error) }));
});
report({ ready: true });
