/**
 * What the tunnel costs. Edge, connector with its server, and load generator are processes of their own. Bulk speed is
 * compared with a bare relay between two TLS connections; latency with the same requests sent to the server directly.
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { MiB } from "@biplane/base";
import { createRootAuthority, issueCertificate } from "@biplane/kit/certificates";
import type { TlsIdentity } from "@biplane/kit/tls";
import type { BulkResult, RequestsResult } from "./tunnel-messages.ts";
import { absoluteRow, type BenchRow, ratioRow } from "./types.ts";

const bulkBytes = 256 * MiB;
const rounds = 5;
const requestBytes = 1024;
const tunnelName = "home.acme.tunnel.biplane.internal";
const hourMs = 3_600_000;

interface Ports {
  readonly relay: number;
  readonly tunnelBulk: number;
  readonly directRequests: number;
  readonly tunnelRequests: number;
}

export async function run(): Promise<BenchRow[]> {
  const folder = await mkdtemp(join(tmpdir(), "bench-tunnel-"));
  const children: ChildProcess[] = [];
  try {
    const { ports, authorityPem } = await startSystem(folder, children);
    const client = await startChild("./tunnel-client.ts", children);
    const send = <Result>(job: object) => ask<Result>(client, { ...job, authorityPem });
    const rows = [
      await measureBulk(send, ports, "down"),
      await measureBulk(send, ports, "up"),
      await measureAdded(send, ports),
      await measureErrors(send, ports),
    ];
    return rows;
  } finally {
    for (const child of children) child.kill("SIGKILL");
    await rm(folder, { recursive: true });
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

async function startSystem(folder: string, children: ChildProcess[]) {
  const provider = await createRootAuthority("provider", hourMs);
  const organization = await createRootAuthority("acme", hourMs);
  const serverIdentity = await issue(organization, ["server"], ["localhost"]);
  const services = ["bulk", "requests"].map((service) => `${service}.${tunnelName}`);
  const edge = await startEdge(folder, provider, services, children);
  const server = await startChild("./tunnel-server.ts", children, {
    serverIdentity,
    connectorIdentity: await issue(provider, ["client"], services),
    providerPem: provider.certificatePem,
    edge: edge.tunnel,
    tunnelName,
  });
  const { bulkPort, requestsPort } = server.ready as { bulkPort: number; requestsPort: number };
  const authorityPem = organization.certificatePem;
  const relay = await startChild("./tunnel-relay.ts", children, {
    identity: serverIdentity,
    authorityPem,
    targetPort: bulkPort,
  });
  const ports: Ports = {
    relay: (relay.ready as { port: number }).port,
    directRequests: requestsPort,
    tunnelBulk: edge.listeners[0]!.port,
    tunnelRequests: edge.listeners[1]!.port,
  };
  return { ports, authorityPem };
}

interface EdgeReady {
  readonly tunnel: { readonly host: string; readonly port: number };
  readonly listeners: readonly { readonly port: number }[];
}

async function startEdge(
  folder: string,
  provider: TlsIdentity,
  services: readonly string[],
  children: ChildProcess[],
): Promise<EdgeReady> {
  const identity = await issue(provider, ["server"], ["localhost", "127.0.0.1"]);
  const listeners = services.map((tunnel, index) => ({ name: `public-${index}`, port: 0, tunnel }));
  const files = {
    "identity.crt": identity.certificatePem,
    "identity.key": identity.privateKeyPem,
    "clients-ca.crt": provider.certificatePem,
    "edge.json": JSON.stringify({ tunnel: { port: 0 }, listeners }),
  };
  for (const [name, content] of Object.entries(files)) {
    await writeFile(join(folder, name), content, { mode: 0o600 });
  }
  const path = join(import.meta.dirname, "../tunnel/edge/main.ts");
  const child = fork(path, ["--state", folder], {
    stdio: ["ignore", "pipe", "inherit", "ipc"],
    env: { ...process.env, LOG_LEVEL: "warn" },
  });
  children.push(child);
  const [line] = await once(createInterface({ input: child.stdout! }), "line");
  return JSON.parse(String(line)) as EdgeReady;
}

function issue(
  issuer: TlsIdentity,
  uses: readonly ("server" | "client")[],
  hosts: readonly string[],
): Promise<TlsIdentity> {
  return issueCertificate(issuer, { commonName: hosts[0]!, hosts, uses, lifetimeMs: hourMs });
}

interface Child {
  readonly process: ChildProcess;
  readonly ready: unknown;
}

async function startChild(module: string, children: ChildProcess[], setup?: object): Promise<Child> {
  const child = fork(new URL(module, import.meta.url));
  children.push(child);
  if (setup !== undefined) child.send(setup);
  const [ready] = await once(child, "message");
  return { process: child, ready };
}

async function ask<Result>(client: Child, job: object): Promise<Result> {
  const answer = once(client.process, "message");
  client.process.send(job);
  const [result] = (await answer) as [Result | { failed: string }];
  if (typeof result === "object" && result !== null && "failed" in result) throw new Error(result.failed);
  return result as Result;
}
