/** Who and what the tunnel lets in: certificates and names of connectors, server names and floods of clients. */
import { once } from "node:events";
import { appendFile, writeFile } from "node:fs/promises";
import { type Socket, connect as tcpConnect } from "node:net";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { createServer, connect as tlsConnect } from "node:tls";
import {
  clientTlsOptions,
  createLogger,
  fingerprint,
  serverTlsOptions,
  type TlsIdentity,
} from "@biplane/kit";
import {
  type ConnectionConsumer,
  type Connector,
  feedTlsServer,
  startConnector,
} from "@biplane/tunnel-connector";
import { tunnelName, tunnelVersions } from "@biplane/tunnel-protocol";
import { afterEach, beforeAll, describe, expect, test } from "vitest";
import {
  type Authorities,
  clientHello,
  createAuthorities,
  issue,
  routerName,
  startTestEdge,
  type TestEdge,
  until,
} from "./tunnel-system.ts";

const hourMs = 3_600_000;
let authorities: Authorities;
let started: { close(): Promise<void> }[] = [];

beforeAll(async () => {
  authorities = await createAuthorities();
});
afterEach(async () => {
  for (const one of started.reverse()) await one.close();
  started = [];
});

async function startEdge(
  ...options: Parameters<typeof startTestEdge> extends [unknown, ...infer Rest] ? Rest : never
) {
  const test = await startTestEdge(authorities, ...options);
  started.push(test.edge);
  return test;
}

interface Dialled {
  readonly connector: Connector;
  /** Reasons of failed dials. */
  readonly failures: string[];
}

function dialEdge(
  { edge }: TestEdge,
  identity: TlsIdentity,
  services: Record<string, ConnectionConsumer>,
  authorityPem = authorities.provider.certificatePem,
): Dialled {
  const failures: string[] = [];
  const connector = startConnector({
    edge: { host: "localhost", port: edge.tunnel.port },
    authorityPem,
    identity: () => identity,
    services,
    connections: 1,
    log: createLogger({ component: "connector", level: "silent" }),
    onEvent: (event) => event.kind === "dial_failed" && failures.push(event.reason ?? ""),
    limits: { drainMs: 100, backoffFirstMs: 20, backoffLastMs: 50 },
  });
  started.push(connector);
  return { connector, failures };
}

/** Answers every TLS connection with a word. */
async function answering(word: string): Promise<ConnectionConsumer> {
  const identity = await issue(authorities.organization, ["server"], ["localhost", "acme.example.com"]);
  return feedTlsServer(createServer(serverTlsOptions({ identity }), (socket) => socket.end(word)));
}

/** Fingerprint of what the edge shows to connectors. */
async function shownBy({ edge }: TestEdge): Promise<string> {
  const identity = await connectorIdentity([routerName]);
  const tls = clientTlsOptions({ authorityPem: authorities.provider.certificatePem, identity });
  const socket = tlsConnect({ ...tls, port: edge.tunnel.port, host: "localhost", servername: "localhost" });
  await once(socket, "secureConnect");
  const { raw } = socket.getPeerX509Certificate()!;
  socket.destroy();
  return fingerprint(raw);
}

async function ask(port: number, servername: string): Promise<string> {
  const ca = authorities.organization.certificatePem;
  const socket = tlsConnect({
    port,
    host: "127.0.0.1",
    servername,
    ca,
    checkServerIdentity: () => undefined,
  });
  await once(socket, "secureConnect");
  return text(socket);
}

function connectorIdentity(names: readonly string[], lifetimeMs = hourMs): Promise<TlsIdentity> {
  return issue(authorities.provider, ["client"], names, lifetimeMs);
}

describe("connectors (TLS-3)", () => {
  test("control: the right certificate is let in and serves its name", async () => {
    const edge = await startEdge();
    const { connector } = dialEdge(edge, await connectorIdentity([routerName]), {
      [routerName]: await answering("served"),
    });
    await connector.connected(AbortSignal.timeout(5_000));
    expect(await ask(edge.edge.listeners[0]!.port, "localhost")).toBe("served");
  });

  test.each([
    ["of a foreign authority", () => issue(authorities.organization, ["client"], [routerName])],
    ["that has expired", () => connectorIdentity([routerName], -1_000)],
    ["for servers only", () => issue(authorities.provider, ["server"], [routerName])],
    ["that names nothing to serve", () => issue(authorities.provider, ["client"], ["127.0.0.1"])],
  ])("a certificate %s is refused", async (_, make) => {
    const edge = await startEdge();
    const { connector, failures } = dialEdge(edge, await make(), {});
    await until(() => failures.length >= 2);
    expect(connector.status().connected).toBe(0);
    expect(edge.edge.status().connectors).toBe(0);
    expect(edge.logLines.join()).toContain("connector_refused");
  });

  test("a connector without a certificate is refused", async () => {
    const edge = await startEdge();
    const socket = tlsConnect({
      ...clientTlsOptions({ authorityPem: authorities.provider.certificatePem }),
      port: edge.edge.tunnel.port,
      host: "localhost",
      ALPNProtocols: [...tunnelVersions],
    });
    await expect(once(socket, "end")).rejects.toThrow();
  });

  test("a revoked certificate is refused, and its open connection is cut", async () => {
    const edge = await startEdge();
    const identity = await connectorIdentity([routerName]);
    const { connector, failures } = dialEdge(edge, identity, {});
    await connector.connected(AbortSignal.timeout(5_000));
    await appendFile(join(edge.folder, "revoked.txt"), `${fingerprint(identity.certificatePem)}\n`);
    await until(() => failures.length >= 2);
    expect(edge.edge.status().connectors).toBe(0);
  });

  test("the edge shows a new certificate of its own once its files have one, and cuts nobody off (TLS-3)", async () => {
    const edge = await startEdge();
    const services = { [routerName]: await answering("inside") };
    const { connector, failures } = dialEdge(edge, await connectorIdentity([routerName]), services);
    await connector.connected(AbortSignal.timeout(10_000));
    const before = await shownBy(edge);
    const renewed = await issue(authorities.provider, ["server"], ["localhost"]);
    // The half of a change that a reader may see: the old certificate stays in force.
    await writeFile(join(edge.folder, "identity.key"), renewed.privateKeyPem);
    await until(() => edge.logLines.some((line) => line.includes("identity_unreadable")));
    expect(await shownBy(edge)).toBe(before);
    await writeFile(join(edge.folder, "identity.crt"), renewed.certificatePem);
    await until(() => edge.logLines.some((line) => line.includes("certificate_renewed")));
    expect(await shownBy(edge)).toBe(fingerprint(renewed.certificatePem));
    expect(edge.edge.status().connectors).toBe(1);
    expect(failures).toEqual([]);
    expect(await ask(edge.edge.listeners[0]!.port, "localhost")).toBe("inside");
    // Whom it lets in stays the same.
    const stranger = await issue(authorities.organization, ["client"], [routerName]);
    const refused = dialEdge(edge, stranger, services);
    await until(() => refused.failures.length > 0);
  });

  test("a connection does not outlive its certificate", async () => {
    const edge = await startEdge();
    const { connector, failures } = dialEdge(edge, await connectorIdentity([routerName], 2_500), {});
    await connector.connected(AbortSignal.timeout(5_000));
    await until(() => edge.edge.status().connectors === 0 && failures.length >= 1);
  });

  test("a connector gets no connection for a name that is not in its certificate, whatever it offers", async () => {
    const edge = await startEdge();
    const other = tunnelName({ service: "router", cluster: "home", org: "other" });
    const { connector } = dialEdge(edge, await connectorIdentity([other]), {
      [routerName]: await answering("stolen"),
      [other]: await answering("own"),
    });
    await connector.connected(AbortSignal.timeout(5_000));
    await expect(ask(edge.edge.listeners[0]!.port, "localhost")).rejects.toThrow();
    expect(edge.logLines.join()).toContain("no_connector");
  });

  test("an edge of another provider is not believed", async () => {
    const edge = await startEdge();
    const identity = await connectorIdentity([routerName]);
    const { failures } = dialEdge(edge, identity, {}, authorities.organization.certificatePem);
    await until(() => failures.length >= 1);
    expect(failures[0]).toMatch(/CERT|SIGNATURE|ISSUER/);
  });

  test("a TLS client that speaks another protocol is refused", async () => {
    const edge = await startEdge();
    const socket = tlsConnect({
      ...clientTlsOptions({
        authorityPem: authorities.provider.certificatePem,
        identity: await connectorIdentity([routerName]),
      }),
      port: edge.edge.tunnel.port,
      host: "localhost",
    });
    await once(socket.resume(), "close");
    expect(edge.logLines.join()).toContain("no tunnel protocol");
  });

  test("handshakes that do not go on are bounded in number, and a real connector still gets in", async () => {
    const edge = await startEdge({}, { connectorHandshakesMax: 50 });
    const silent = await openSilent(edge.edge.tunnel.port, 300);
    await until(() => silent.filter((socket) => socket.destroyed).length >= 250);
    const { connector } = dialEdge(edge, await connectorIdentity([routerName]), {});
    await connector.connected(AbortSignal.timeout(5_000));
    for (const socket of silent) socket.destroy();
  });
});

describe("clients", () => {
  const names = { hosts: { "acme.example.com": routerName } };

  test("the server name decides, also when the ClientHello comes in many TCP segments", async () => {
    const edge = await startEdge({ listeners: [{ name: "public", host: "127.0.0.1", port: 0, ...names }] });
    const own = "own.example.com";
    const { connector } = dialEdge(edge, await connectorIdentity([routerName, own]), {
      [routerName]: await answering("by the list"),
      [own]: await answering("by the certificate"),
    });
    await connector.connected(AbortSignal.timeout(5_000));
    const { port } = edge.edge.listeners[0]!;
    expect(await ask(port, "acme.example.com")).toBe("by the list");
    expect(await ask(port, own)).toBe("by the certificate");
    const slow = tcpConnect({ port, noDelay: true });
    for (const byte of await clientHello("acme.example.com")) {
      slow.write(Buffer.of(byte));
      await new Promise((resolve) => setImmediate(resolve));
    }
    const [answer] = (await once(slow, "data")) as [Buffer];
    expect(answer[0]).toBe(22);
    slow.destroy();
  });

  test.each(["unknown.example.com", routerName, "constructor"])(
    "the server name %s leads nowhere: the connection is closed at once",
    async (servername) => {
      const edge = await startEdge({ listeners: [{ name: "public", host: "127.0.0.1", port: 0, ...names }] });
      const { connector } = dialEdge(edge, await connectorIdentity([routerName]), {
        [routerName]: await answering("reached"),
      });
      await connector.connected(AbortSignal.timeout(5_000));
      await expect(ask(edge.edge.listeners[0]!.port, servername)).rejects.toThrow();
    },
  );

  test("without a connector the connection is closed at once, and the log says why", async () => {
    const edge = await startEdge();
    const startedMs = performance.now();
    await expect(ask(edge.edge.listeners[0]!.port, "localhost")).rejects.toThrow();
    expect(performance.now() - startedMs).toBeLessThan(1_000);
    expect(edge.logLines.join()).toContain("no_connector");
  });

  test("what does not begin like TLS is closed at its first byte (TLS-1)", async () => {
    const edge = await startEdge();
    const socket = tcpConnect(edge.edge.listeners[0]!.port);
    socket.write("GET / HTTP/1.1\r\n\r\n");
    expect(await text(socket).catch(() => "")).toBe("");
    await until(() => edge.logLines.join().includes("connection_refused"));
  });

  test("1,000 connections that say nothing are bounded, and a client that talks gets through at once", async () => {
    const edge = await startEdge({}, { halfOpenMax: 100, clientHelloMs: 2_000 });
    const { connector } = dialEdge(edge, await connectorIdentity([routerName]), {
      [routerName]: await answering("through"),
    });
    await connector.connected(AbortSignal.timeout(5_000));
    const { port } = edge.edge.listeners[0]!;
    const silent = await openSilent(port, 1_000);
    await until(() => silent.filter((socket) => socket.destroyed).length >= 900);
    expect(edge.edge.status().halfOpen).toBeLessThanOrEqual(100);
    expect(await ask(port, "localhost")).toBe("through");
    // And in time: the rest is closed although nobody displaces it.
    await until(() => silent.every((socket) => socket.destroyed));
    expect(edge.edge.status().halfOpen).toBe(0);
  });

  test("connections that send a ClientHello and no more are bounded in number and time, inside too", async () => {
    const edge = await startEdge({}, { halfOpenMax: 50, clientFinishMs: 2_000 });
    const { connector } = dialEdge(edge, await connectorIdentity([routerName]), {
      [routerName]: await answering("through"),
    });
    await connector.connected(AbortSignal.timeout(5_000));
    const { port } = edge.edge.listeners[0]!;
    const hello = await clientHello("localhost");
    const stalled = await openSilent(port, 300);
    for (const socket of stalled) socket.write(hello);
    await until(() => stalled.filter((socket) => socket.destroyed).length >= 250);
    await until(() => connector.status().streams <= 50);
    expect(await ask(port, "localhost")).toBe("through");
    await until(() => stalled.every((socket) => socket.destroyed) && connector.status().streams === 0);
  });

  test("one name cannot use up the edge's connections: its share is bounded", async () => {
    const edge = await startEdge({ connectionsPerNameMax: 3 });
    const held: Socket[] = [];
    const { connector } = dialEdge(edge, await connectorIdentity([routerName]), {
      [routerName]: (socket) => socket.resume(),
    });
    await connector.connected(AbortSignal.timeout(5_000));
    const hello = await clientHello("localhost");
    for (let count = 0; count < 4; count += 1) {
      const socket = tcpConnect(edge.edge.listeners[0]!.port).on("error", () => {});
      socket.resume().write(hello);
      held.push(socket);
      await until(() => edge.edge.status().publicConnections === Math.min(3, count + 1));
    }
    await until(() => held[3]!.destroyed);
    expect(held.slice(0, 3).some((socket) => socket.destroyed)).toBe(false);
    expect(edge.logLines.join()).toContain("connections_per_name_max");
    for (const socket of held) socket.destroy();
  });
});

async function openSilent(port: number, count: number): Promise<Socket[]> {
  const sockets = Array.from({ length: count }, () => tcpConnect(port, "127.0.0.1").on("error", () => {}));
  for (const socket of sockets) socket.resume();
  await until(() => sockets.every((socket) => !socket.connecting), 20_000);
  return sockets;
}

test("an edge that can't have one of its ports says which, and keeps none of the others", async () => {
  const taken = await startEdge();
  const { port } = taken.edge.listeners[0]!;
  const free = (await startTestEdge(authorities)).edge;
  const tunnelPort = free.tunnel.port;
  await free.close();
  const config = {
    tunnel: { host: "127.0.0.1", port: tunnelPort },
    listeners: [{ name: "router", host: "127.0.0.1", port, tunnel: routerName }],
  };
  await expect(startTestEdge(authorities, config)).rejects.toThrow(
    `EADDRINUSE: address already in use 127.0.0.1:${port}`,
  );
  const again = await startEdge({ tunnel: config.tunnel });
  expect(again.edge.tunnel.port).toBe(tunnelPort);
});
