/** The tunnel under load, kills and dead paths, with edge and connector as processes of their own (claim NET-2). */
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer as createTcpServer, type Socket, connect as tcpConnect } from "node:net";
import { buffer, text } from "node:stream/consumers";
import { createServer, type TLSSocket, connect as tlsConnect } from "node:tls";
import { GiB, MiB } from "@biplane/base";
import { createLogger, serverTlsOptions } from "@biplane/kit";
import { feedTlsServer, startConnector } from "@biplane/tunnel-connector";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { TunnelProcesses } from "../../bench/tunnel-processes.ts";
import { createAuthorities, issue, routerName, startTestEdge, until } from "./tunnel-system.ts";

describe("processes", () => {
  let system: TunnelProcesses;
  beforeAll(async () => {
    system = await TunnelProcesses.start();
  });
  afterAll(() => system.stop());

  async function dial(): Promise<TLSSocket> {
    const { authorityPem, publicPorts } = system;
    const socket = tlsConnect({
      port: publicPorts.bulk,
      host: "127.0.0.1",
      servername: "localhost",
      ca: authorityPem,
    });
    await once(socket, "secureConnect");
    return socket.on("error", () => {});
  }

  async function download(bytes: number): Promise<number> {
    const socket = await dial();
    socket.write(`down ${bytes}\n`);
    let received = 0;
    for await (const chunk of socket) received += (chunk as Buffer).length;
    return received;
  }

  /** Succeeds as soon as the tunnel is whole again. */
  async function downloadWithRetries(waitMsMax: number): Promise<void> {
    const deadlineMs = performance.now() + waitMsMax;
    for (;;) {
      const received = await download(1_000).catch(() => 0);
      if (received === 1_000) return;
      if (performance.now() > deadlineMs) throw new Error(`Not healed within ${waitMsMax} ms.`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  test("1 GiB passes each way, and neither process grows by 100 MB", async () => {
    await download(64 * MiB);
    const before = memoryOf(system);
    const watch = watchPeak(system);
    expect(await download(GiB)).toBe(GiB);
    const socket = await dial();
    socket.write(`up ${GiB}\n`);
    const chunk = Buffer.alloc(MiB);
    for (let sent = 0; sent < GiB; sent += MiB) {
      if (!socket.write(chunk)) await once(socket, "drain");
    }
    expect(await text(socket)).toBe("k");
    const peak = watch.stop();
    expect(peak.edge - before.edge).toBeLessThan(100 * MiB);
    expect(peak.server - before.server).toBeLessThan(100 * MiB);
  });

  test("readers that stop reading cost a bounded amount of memory and hold nobody else up", async () => {
    await download(MiB);
    const before = memoryOf(system);
    const stalled = await Promise.all(Array.from({ length: 20 }, () => dial()));
    for (const socket of stalled) {
      socket.pause();
      socket.write(`down ${GiB}\n`);
    }
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    const startedMs = performance.now();
    expect(await download(16 * MiB)).toBe(16 * MiB);
    expect(performance.now() - startedMs).toBeLessThan(10_000);
    const after = memoryOf(system);
    // 20 connections of which each may have one window of 2 MiB on the way.
    expect(after.edge - before.edge).toBeLessThan(100 * MiB);
    expect(after.server - before.server).toBeLessThan(100 * MiB);
    for (const socket of stalled) socket.destroy();
  });

  test("kill -9 of the connector: the client's connection ends at once, and a new connector heals the tunnel", async () => {
    const socket = await dial();
    socket.write(`down ${GiB}\n`);
    socket.resume();
    await once(socket, "data");
    const ended = new Promise((resolve) => socket.once("close", resolve));
    system.server.process.kill("SIGKILL");
    await ended;
    await expect(download(1)).rejects.toThrow();
    await system.startServer();
    await downloadWithRetries(5_000);
  });

  test("kill -9 of the edge: the client's connection ends at once, and the connector finds the new edge", async () => {
    const socket = await dial();
    socket.write(`down ${GiB}\n`);
    socket.resume();
    await once(socket, "data");
    const ended = new Promise((resolve) => socket.once("close", resolve));
    const exited = once(system.edge.process, "exit");
    system.edge.process.kill("SIGKILL");
    await Promise.all([ended, exited]);
    await system.startEdge();
    await downloadWithRetries(15_000);
  });

  test("SIGTERM ends the edge with code 0", async () => {
    const exited = once(system.edge.process, "exit");
    system.edge.process.kill("SIGTERM");
    expect((await exited)[0]).toBe(0);
  });
});

test("a path that swallows packets is noticed by both ends, and a new connection takes its place", async () => {
  const authorities = await createAuthorities();
  const limits = { heartbeatMs: 100, silenceMsMax: 400, drainMs: 100, backoffFirstMs: 50 };
  const { edge } = await startTestEdge(authorities, {}, limits);
  const path = await startPath(edge.tunnel.port);
  const identity = await issue(authorities.provider, ["client"], [routerName]);
  const serverIdentity = await issue(authorities.organization, ["server"], ["localhost"]);
  const reasons: (string | undefined)[] = [];
  const connector = startConnector({
    edge: { host: "localhost", port: path.port },
    authorityPem: authorities.provider.certificatePem,
    identity: () => identity,
    services: {
      [routerName]: feedTlsServer(
        createServer(serverTlsOptions({ identity: serverIdentity }), (socket) => {
          socket.on("error", () => {});
          socket.pipe(socket);
        }),
      ),
    },
    connections: 2,
    log: createLogger({ component: "connector", level: "silent" }),
    onEvent: (event) => event.kind === "disconnected" && reasons.push(event.reason),
    limits,
  });
  try {
    await until(() => edge.status().connectors === 2);
    // Quiet for longer than the limit, but answering: nobody is given up.
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    expect(edge.status().connectors).toBe(2);
    const ca = authorities.organization.certificatePem;
    const client = tlsConnect({ port: edge.listeners[0]!.port, servername: "localhost", ca });
    await once(client, "secureConnect");
    const ended = new Promise((resolve) => client.on("error", () => {}).once("close", resolve));
    path.swallow();
    await ended;
    await until(() => edge.status().connectors === 0 && reasons.length === 2);
    expect(reasons).toEqual(["silent", "silent"]);
    path.heal();
    await until(() => edge.status().connectors === 2);
    const again = tlsConnect({ port: edge.listeners[0]!.port, servername: "localhost", ca });
    again.end("hello");
    expect(String(await buffer(again))).toBe("hello");
  } finally {
    await connector.close();
    await edge.close();
    path.close();
  }
});

/** A stretch of network between connector and edge that can stop carrying anything without ending a connection. */
async function startPath(targetPort: number) {
  const sockets = new Set<Socket>();
  let swallowing = false;
  const server = createTcpServer((inbound) => {
    const outbound = tcpConnect(targetPort, "127.0.0.1");
    for (const [from, to] of [
      [inbound, outbound],
      [outbound, inbound],
    ] as const) {
      sockets.add(from);
      from.on("data", (chunk) => swallowing || to.write(chunk));
      from.on("error", () => {});
      from.on("close", () => swallowing || to.destroy());
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "localhost", resolve));
  return {
    port: (server.address() as { port: number }).port,
    swallow: () => {
      swallowing = true;
    },
    heal: () => {
      swallowing = false;
    },
    close: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

interface Memory {
  readonly edge: number;
  readonly server: number;
}

function memoryOf(system: TunnelProcesses): Memory {
  return { edge: residentBytes(system.edge.process), server: residentBytes(system.server.process) };
}

function residentBytes(child: ChildProcess): number {
  const status = readFileSync(`/proc/${child.pid}/status`, "utf8");
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) * 1024;
}

function watchPeak(system: TunnelProcesses): { stop(): Memory } {
  let peak: Memory = { edge: 0, server: 0 };
  const timer = setInterval(() => {
    const now = memoryOf(system);
    peak = { edge: Math.max(peak.edge, now.edge), server: Math.max(peak.server, now.server) };
  }, 50);
  return {
    stop: () => {
      clearInterval(timer);
      return peak;
    },
  };
}
