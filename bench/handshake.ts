/**
 * What the router costs each new connection: TLS handshakes per second at a data plane that listens itself, beside a
 * bare TLS server of Node with a chain of the same length. Both are processes of their own, and so is the client, which
 * on two cores is the one that has most to do: so the servers' processor time is shown as well.
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createRootAuthority, issueCertificate } from "@biplane/kit/certificates";
import { startSystem } from "../tests/e2e/system.ts";
import { Daemon } from "../tests/support/daemon.ts";
import { createIntermediate } from "../verify/hostile-control-plane/intermediate.ts";
import type { HandshakeJob, HandshakeResult } from "./handshake-client.ts";
import { processorMs } from "./objects-servers.ts";
import { type BenchRow, ratioRow } from "./types.ts";

const rounds = 6;
const durationMs = 2_000;
const atOnce = 8;
const hourMs = 3_600_000;

interface Server {
  readonly pid: number;
  readonly port: number;
  readonly authorityPem: string;
}

export async function run(): Promise<BenchRow[]> {
  const children: ChildProcess[] = [];
  await using system = await startSystem();
  const data = await listenItself(system);
  try {
    const bare = await startBare(children);
    const router = { pid: data.pid, port: system.ports.router, authorityPem: system.profile.rootPem };
    const client = await start(children, "./handshake-client.ts", {});
    const measure = async ({ pid, ...server }: Server): Promise<Figure> => {
      const answer = once(client.child, "message");
      const cpuBefore = processorMs(pid);
      client.child.send({ ...server, durationMs, atOnce } satisfies HandshakeJob);
      const [result] = (await answer) as [HandshakeResult | { failed: string }];
      if ("failed" in result) throw new Error(result.failed);
      const { perSecond, connections } = result;
      return { perSecond, cpuMs: (processorMs(pid) - cpuBefore) / connections };
    };
    return await compare(measure, router, bare);
  } finally {
    for (const child of children) child.kill("SIGKILL");
    await data.stop();
  }
}

/** The best round of each counts: whatever else the machine does can only make a round slower. */
async function compare(
  measure: (server: Server) => Promise<Figure>,
  router: Server,
  bare: Server,
): Promise<BenchRow[]> {
  const figures = { router: [] as Figure[], bare: [] as Figure[] };
  for (let round = 0; round < rounds; round += 1) {
    figures.bare.push(await measure(bare));
    figures.router.push(await measure(router));
  }
  const most = (of: readonly Figure[]) => Math.max(...of.map(({ perSecond }) => perSecond));
  const least = (of: readonly Figure[]) => Math.min(...of.map(({ cpuMs }) => cpuMs));
  const reference = `a bare TLS server of Node; ${atOnce} at once, no resumption, best of ${rounds} rounds each`;
  const count = { value: most(figures.router), referenceValue: most(figures.bare), unit: "1/s" };
  const cpu = { value: least(figures.router), referenceValue: least(figures.bare), unit: "ms" };
  return [
    ratioRow({ ...count, measure: "new-connections", reference }, { atLeast: 0.7 }),
    ratioRow({ ...cpu, measure: "cpu.new-connection", reference }, { atMost: 1.43 }),
  ];
}

/** The plane again without its edge, as behind a customer's own balancer: at the ports that the edge had. */
async function listenItself(system: Awaited<ReturnType<typeof startSystem>>): Promise<Daemon> {
  await system.data.stop();
  await system.edge.stop();
  const data = new Daemon({
    program: "data",
    parameters: () => ["start", "--state", join(system.folder, "data"), "--listen", "--allow-unsandboxed"],
    logPath: join(system.folder, "data.log"),
  });
  await data.start();
  return data;
}

interface Figure {
  readonly perSecond: number;
  readonly cpuMs: number;
}

async function startBare(children: ChildProcess[]): Promise<Server> {
  const root = await createRootAuthority("bare", hourMs);
  const intermediate = await createIntermediate(root, "bare intermediate", hourMs, []);
  const identity = await issueCertificate(intermediate, {
    commonName: "localhost",
    hosts: ["localhost", "127.0.0.1"],
    uses: ["server"],
    lifetimeMs: hourMs,
  });
  const certificatePem = `${identity.certificatePem.trim()}\n${intermediate.certificatePem}`;
  const { child, ready } = await start<{ port: number }>(children, "./handshake-server.ts", {
    ...identity,
    certificatePem,
  });
  return { pid: child.pid!, port: ready.port, authorityPem: root.certificatePem };
}

async function start<Ready>(
  children: ChildProcess[],
  module: string,
  setup: object,
): Promise<{ child: ChildProcess; ready: Ready }> {
  const child = fork(new URL(module, import.meta.url), { env: { ...process.env, LOG_LEVEL: "error" } });
  children.push(child);
  child.send(setup);
  const [ready] = (await once(child, "message")) as [Ready];
  return { child, ready };
}
