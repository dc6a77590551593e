/**
 * What the router costs each new connection: TLS handshakes per second at a data plane that listens itself, beside a
 * bare TLS server of Node with a chain of the same length. Both are processes of their own, and so is the client.
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createRootAuthority, issueCertificate } from "@biplane/kit/certificates";
import { startSystem } from "../tests/e2e/system.ts";
import { Daemon } from "../tests/support/daemon.ts";
import { createIntermediate } from "../verify/hostile-control-plane/intermediate.ts";
import type { HandshakeJob, HandshakeResult } from "./handshake-client.ts";
import { type BenchRow, ratioRow } from "./types.ts";

const rounds = 6;
const durationMs = 2_000;
const atOnce = 8;
const hourMs = 3_600_000;

interface Server {
  readonly port: number;
  readonly authorityPem: string;
}

export async function run(): Promise<BenchRow[]> {
  const children: ChildProcess[] = [];
  await using system = await startSystem();
  const data = await listenItself(system);
  try {
    const bare = await startBare(children);
    const router = { port: system.ports.router, authorityPem: system.profile.rootPem };
    const client = await start(children, "./handshake-client.ts", {});
    const perSecond = async (server: Server) => {
      const answer = once(client.child, "message");
      client.child.send({ ...server, durationMs, atOnce } satisfies HandshakeJob);
      const [result] = (await answer) as [HandshakeResult | { failed: string }];
      if ("failed" in result) throw new Error(result.failed);
      return result.perSecond;
    };
    return [await compare(perSecond, router, bare)];
  } finally {
    for (const child of children) child.kill("SIGKILL");
    await data.stop();
  }
}

/** The best round of each counts: whatever else the machine does can only make a round slower. */
async function compare(
  perSecond: (server: Server) => Promise<number>,
  router: Server,
  bare: Server,
): Promise<BenchRow> {
  let [value, referenceValue] = [0, 0];
  for (let round = 0; round < rounds; round += 1) {
    referenceValue = Math.max(referenceValue, await perSecond(bare));
    value = Math.max(value, await perSecond(router));
  }
  const reference = `a bare TLS server of Node; ${atOnce} at once, no resumption, best of ${rounds} rounds each`;
  const row = { measure: "new-connections", value, unit: "1/s", reference, referenceValue };
  return ratioRow(row, { atLeast: 0.7 });
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
  const { ready } = await start<{ port: number }>(children, "./handshake-server.ts", {
    ...identity,
    certificatePem,
  });
  return { port: ready.port, authorityPem: root.certificatePem };
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
