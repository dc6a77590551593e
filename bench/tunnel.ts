/**
 * What the tunnel costs. Edge, connector with its server, and load generator are processes of their own. Bulk speed is
 * compared with a bare relay between two TLS connections; latency with the same requests sent to the server directly.
 */
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { MiB } from "@biplane/base";
import type { BulkResult, RequestsResult } from "./tunnel-messages.ts";
import { TunnelProcesses } from "./tunnel-processes.ts";
import { absoluteRow, type BenchRow, ratioRow } from "./types.ts";

const bulkBytes = 256 * MiB;
const rounds = 5;
const requestBytes = 1024;

interface Ports {
  readonly relay: number;
  readonly tunnelBulk: number;
  readonly directRequests: number;
  readonly tunnelRequests: number;
}

export async function run(): Promise<BenchRow[]> {
  const system = await TunnelProcesses.start();
  try {
    const { authorityPem, serverIdentity } = system;
    const relaySetup = { identity: serverIdentity, authorityPem, targetPort: system.directPorts.bulk };
    const relay = await system.fork<{ port: number }>("./tunnel-relay.ts", relaySetup);
    const ports: Ports = {
      relay: relay.ready.port,
      directRequests: system.directPorts.requests,
      tunnelBulk: system.publicPorts.bulk,
      tunnelRequests: system.publicPorts.requests,
    };
    const client = await system.fork("./tunnel-client.ts", {});
    const send = <Result>(job: object) => ask<Result>(client.process, { ...job, authorityPem });
    return [
      await measureBulk(send, ports, "down"),
      await measureBulk(send, ports, "up"),
      await measureAdded(send, ports),
      await measureErrors(send, ports),
    ];
  } finally {
    await system.stop();
  }
}

type Send = <Result>(job: object) => Promise<Result>;

/** Both sides of a round run next to each other, so that what else the machine does hits both; the median round counts. */
async function measureBulk(send: Send, ports: Ports, direction: "down" | "up"): Promise<BenchRow> {
  const job = { kind: "bulk", direction, bytes: bulkBytes };
  const results: { tunnel: number; relay: number }[] = [];
  for (let round = 0; round <= rounds; round += 1) {
    const relay = bulkBytes / MiB / (await send<BulkResult>({ ...job, port: ports.relay })).seconds;
    const tunnel = bulkBytes / MiB / (await send<BulkResult>({ ...job, port: ports.tunnelBulk })).seconds;
    // The first round warms both up.
    if (round > 0) results.push({ tunnel, relay });
  }
  results.sort((a, b) => a.tunnel / a.relay - b.tunnel / b.relay);
  const { tunnel, relay } = results[Math.floor(results.length / 2)]!;
  return ratioRow(
    {
      measure: `bulk.${direction}`,
      value: tunnel,
      unit: "MiB/s",
      reference: "bare relay between two TLS connections",
      referenceValue: relay,
    },
    { atLeast: 0.6 },
  );
}

async function measureAdded(send: Send, ports: Ports): Promise<BenchRow> {
  const job = {
    kind: "requests",
    perSecond: 1_000,
    durationMs: 3_000,
    bodyBytes: requestBytes,
    sockets: 32,
  };
  const added: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const direct = await send<RequestsResult>({ ...job, port: ports.directRequests });
    const tunnel = await send<RequestsResult>({ ...job, port: ports.tunnelRequests });
    if (direct.errors + tunnel.errors > 0) throw new Error("Requests failed at 1,000 a second.");
    added.push(tunnel.p50Ms - direct.p50Ms);
  }
  const value = added.sort((a, b) => a - b)[Math.floor(rounds / 2)]!;
  const reference = "the same requests sent to the server directly: 1 KiB, 1,000/s, open loop, p50";
  return absoluteRow({ measure: "added.p50", value, unit: "ms", reference }, { atMost: 2 });
}

async function measureErrors(send: Send, ports: Ports): Promise<BenchRow> {
  const { errors, sent } = await send<RequestsResult>({
    kind: "requests",
    port: ports.tunnelRequests,
    perSecond: 4_000,
    durationMs: 5_000,
    bodyBytes: requestBytes,
    sockets: 64,
  });
  const reference = `${sent} requests of 1 KiB at 4,000/s, open loop; a wait over 5 s is an error`;
  return absoluteRow({ measure: "errors.4000", value: errors, unit: "errors", reference }, { atMost: 0 });
}

async function ask<Result>(client: ChildProcess, job: object): Promise<Result> {
  const answer = once(client, "message");
  client.send(job);
  const [result] = (await answer) as [Result | { failed: string }];
  if (typeof result === "object" && result !== null && "failed" in result) throw new Error(result.failed);
  return result as Result;
}
