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
const rounds = 6;
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

/** The best round of each side counts: whatever else the machine does can only make a round slower. */
async function measureBulk(send: Send, ports: Ports, direction: "down" | "up"): Promise<BenchRow> {
  const speed = async (port: number) => {
    const job = { kind: "bulk", direction, bytes: bulkBytes, port };
    return bulkBytes / MiB / (await send<BulkResult>(job)).seconds;
  };
  let tunnel = 0;
  let relay = 0;
  for (let round = 0; round < rounds; round += 1) {
    relay = Math.max(relay, await speed(ports.relay));
    tunnel = Math.max(tunnel, await speed(ports.tunnelBulk));
  }
  return ratioRow(
    {
      measure: `bulk.${direction}`,
      value: tunnel,
      unit: "MiB/s",
      reference: `bare relay between two TLS connections; best of ${rounds} rounds each`,
      referenceValue: relay,
    },
    { atLeast: 0.6 },
  );
}

async function measureAdded(send: Send, ports: Ports): Promise<BenchRow> {
  const median = async (port: number) => {
    const { errors, p50Ms } = await send<RequestsResult>({
      kind: "requests",
      perSecond: 1_000,
      durationMs: 3_000,
      bodyBytes: requestBytes,
      sockets: 32,
      port,
    });
    if (errors > 0) throw new Error(`${errors} requests failed at 1,000 a second.`);
    return p50Ms;
  };
  let direct = Number.POSITIVE_INFINITY;
  let tunnel = Number.POSITIVE_INFINITY;
  for (let round = 0; round < rounds; round += 1) {
    direct = Math.min(direct, await median(ports.directRequests));
    tunnel = Math.min(tunnel, await median(ports.tunnelRequests));
  }
  const reference = `the same sent to the server directly, ${direct.toFixed(2)} ms: 1 KiB, 1,000/s, open loop, best of ${rounds} rounds`;
  return absoluteRow({ measure: "added.p50", value: tunnel - direct, unit: "ms", reference }, { atMost: 2 });
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
