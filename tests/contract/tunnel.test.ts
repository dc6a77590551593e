/** What passes through the tunnel, judged by ordinary TLS, HTTP/1.1 and HTTP/2 clients and servers at its ends. */
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { connect as connectHttp2, createSecureServer, type IncomingHttpHeaders } from "node:http2";
import { Agent, createServer as createHttpsServer, request } from "node:https";
import { connect as tcpConnect } from "node:net";
import type { Readable } from "node:stream";
import { buffer, text } from "node:stream/consumers";
import { createServer, type TLSSocket, connect as tlsConnect } from "node:tls";
import { flyte } from "@biplane/data-wire";
import { createConnectServer, serverTlsOptions, type TlsIdentity } from "@biplane/kit";
import { createRouterTransport } from "@biplane/sdk/remote/router-transport";
import type { TunnelSocket } from "@biplane/tunnel-connector";
import { createClient } from "@connectrpc/connect";
import { afterEach, beforeAll, describe, expect, test } from "vitest";
import {
  type Authorities,
  clientHello,
  createAuthorities,
  issue,
  routerName,
  startTunnelSystem,
  type TunnelSystem,
  type TunnelSystemOptions,
  tlsServer,
  until,
} from "./tunnel-system.ts";

let authorities: Authorities;
let system: TunnelSystem | undefined;

beforeAll(async () => {
  authorities = await createAuthorities();
});
afterEach(async () => {
  await system?.close();
  system = undefined;
});

async function start(options: Omit<TunnelSystemOptions, "authorities">): Promise<TunnelSystem> {
  system = await startTunnelSystem({ authorities, ...options });
  return system;
}

/** A TLS server whose connections are handled one by one. */
function serve(handle: (socket: TLSSocket) => void) {
  return tlsServer((identity) =>
    createServer(serverTlsOptions({ identity }), (socket) => {
      socket.on("error", () => {});
      handle(socket);
    }),
  );
}

async function dialTls(servername = "localhost", port = system!.port): Promise<TLSSocket> {
  const socket = tlsConnect({ port, host: "127.0.0.1", servername, ca: system!.organizationPem });
  await once(socket, "secureConnect");
  return socket;
}

describe("bytes", () => {
  test("a connection's bytes arrive unchanged both ways, and the server's certificate is the customer's (TLS-4)", async () => {
    await start({ consumer: serve((socket) => socket.pipe(socket)) });
    const socket = await dialTls();
    expect(socket.authorized).toBe(true);
    const sent = randomBytes(5_000_000);
    socket.end(sent);
    expect(digest(await buffer(socket))).toBe(digest(sent));
  });

  test("the end of one direction passes on while the other one goes on, whoever ends first", async () => {
    const hello = await clientHello("localhost");
    const received: string[] = [];
    await start({
      consumer: () => (socket) => {
        socket.write("greeting;");
        collect(socket, (all) => {
          received.push(all.slice(hello.toString().length));
          setTimeout(() => socket.end("answer"), 50);
        });
      },
    });
    const client = tcpConnect({ port: system!.port, allowHalfOpen: true });
    client.write(hello);
    await once(client, "readable");
    client.end("question");
    expect(await text(client)).toBe("greeting;answer");
    expect(received).toEqual(["question"]);
  });

  test("the server may end first and still receive", async () => {
    const hello = await clientHello("localhost");
    let received = "";
    await start({
      consumer: () => (socket) => {
        socket.end("all I have");
        collect(socket, (all) => {
          received = all;
        });
      },
    });
    const client = tcpConnect({ port: system!.port, allowHalfOpen: true });
    client.write(hello);
    expect(String(await once(client, "data"))).toBe("all I have");
    await once(client, "end");
    client.end("and I answer");
    await until(() => received.endsWith("and I answer"));
  });

  test("the server sees the client's address, as the edge reports it", async () => {
    await start({
      consumer: tlsServer((identity) =>
        createHttpsServer(serverTlsOptions({ identity }), (req, res) => {
          res.end(JSON.stringify([req.socket.remoteAddress, req.socket.remotePort]));
        }),
      ),
    });
    const req = request({
      port: system!.port,
      host: "127.0.0.1",
      servername: "localhost",
      ca: system!.organizationPem,
      agent: false,
      localAddress: "127.0.0.9",
    }).end();
    const [response] = await once(req, "response");
    expect(JSON.parse(await text(response))).toEqual(["127.0.0.9", expect.any(Number)]);
  });
});

test("a request that takes too long to be said ends as it would at a port of its own", async () => {
  const times = { headersTimeout: 200, requestTimeout: 200, connectionsCheckingInterval: 100 };
  await start({
    consumer: tlsServer((identity) =>
      createHttpsServer({ ...serverTlsOptions({ identity }), ...times }, (_, res) => res.end("control")),
    ),
  });
  const fast = await dialTls();
  fast.write("GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
  expect(await text(fast)).toContain("control");
  const slow = await dialTls();
  slow.write("GET / HTTP/1.1\r\nhost: localhost\r\n");
  slow.on("error", () => {}).resume();
  await new Promise((resolve) => slow.once("close", resolve));
});

describe("HTTP/2 through the tunnel", () => {
  test("trailers arrive, and each message of an endless stream arrives when it is sent", async () => {
    await start({ consumer: tlsServer((identity) => streamingServer(identity)) });
    const session = connectHttp2(`https://localhost:${system!.port}`, { ca: system!.organizationPem });
    const stream = session.request({ ":path": "/watch", ":method": "POST" });
    let trailers: IncomingHttpHeaders = {};
    stream.once("trailers", (headers) => {
      trailers = headers;
    });
    const messages: string[] = [];
    stream.on("data", (chunk: Buffer) => messages.push(String(chunk)));
    for (const count of [1, 2, 3]) {
      stream.write("next");
      await until(() => messages.length === count);
    }
    stream.end();
    await once(stream, "end");
    expect(messages).toEqual(["message 1", "message 2", "message 3"]);
    expect(trailers["grpc-status"]).toBe("0");
    session.close();
  });

  test("many connections at once stay apart", async () => {
    await start({ consumer: serve((socket) => socket.pipe(socket)) });
    const exchange = async (index: number) => {
      const sent = Buffer.alloc(20_000, `connection ${index} `);
      const socket = await dialTls();
      socket.end(sent);
      return (await buffer(socket)).equals(sent);
    };
    const outcomes = await Promise.all(Array.from({ length: 100 }, (_, index) => exchange(index)));
    expect(outcomes.every(Boolean)).toBe(true);
    await until(
      () => system!.connector.status().streams === 0 && system!.edge.status().publicConnections === 0,
    );
  });
});

describe("resets", () => {
  test("a client's reset ends the connection inside, and a reset from inside reaches the client as one", async () => {
    const hello = await clientHello("localhost");
    const inside: TunnelSocket[] = [];
    await start({
      consumer: () => (socket) => {
        socket.on("error", () => {});
        socket.resume();
        inside.push(socket);
      },
    });
    const resetting = tcpConnect(system!.port);
    resetting.write(hello);
    await until(() => inside.length === 1);
    resetting.resetAndDestroy();
    await until(() => inside[0]!.destroyed);

    const resetted = tcpConnect(system!.port);
    resetted.write(hello);
    await until(() => inside.length === 2);
    const failure = once(resetted, "error");
    inside[1]!.destroy(new Error("the service failed"));
    const [error] = await failure.catch((thrown: unknown) => [thrown]);
    expect((error as NodeJS.ErrnoException).code).toBe("ECONNRESET");
    await until(() => system!.edge.status().publicConnections === 0);
  });

  test("a storm of resets, from clients and from inside, does not touch the connection beside it", async () => {
    const hello = await clientHello("localhost");
    const service = serve((socket) => socket.pipe(socket));
    let inside: "serve" | "hold" | "reset" = "serve";
    await start({
      consumer: (identity) => {
        const toServer = service(identity);
        return (socket) => {
          socket.on("error", () => {});
          if (inside === "serve") toServer(socket);
          else if (inside === "reset") socket.destroy(new Error("refused"));
        };
      },
      connections: 1,
    });
    const steady = await dialTls();
    for (let round = 0; round < 14; round += 1) {
      inside = round % 2 === 0 ? "hold" : "reset";
      await resetMany(hello, 200, inside === "hold");
    }
    const answer = once(steady, "data");
    steady.write("still here");
    expect(String((await answer)[0])).toBe("still here");
    expect(system!.events.filter(({ kind }) => kind === "disconnected")).toEqual([]);
  });
});

/** Opens connections and waits until they have reached the inside; then either side resets them. */
async function resetMany(hello: Buffer, count: number, byClient: boolean): Promise<void> {
  const before = system!.connector.status().streams;
  const sockets = Array.from({ length: count }, () => tcpConnect(system!.port).on("error", () => {}));
  for (const socket of sockets) socket.resume().write(hello);
  if (byClient) {
    await until(() => system!.connector.status().streams === before + count);
    for (const socket of sockets) socket.resetAndDestroy();
  }
  await until(() => sockets.every((socket) => socket.destroyed));
  await until(() => system!.connector.status().streams === before);
}

describe("certificates", () => {
  test("they rotate under load without a failed request (TLS-3)", async () => {
    let issued = 0;
    await start({
      consumer: serve((socket) => socket.pipe(socket)),
      connections: 2,
      identity: () => {
        issued += 1;
        return issue(authorities.provider, ["client"], [routerName], 4_000);
      },
    });
    const endMs = performance.now() + 7_000;
    let exchanges = 0;
    while (performance.now() < endMs) {
      const socket = await dialTls();
      socket.end("ping");
      expect(await text(socket)).toBe("ping");
      exchanges += 1;
    }
    expect(exchanges).toBeGreaterThan(50);
    // Two to begin with; each has been replaced at least twice by then.
    expect(issued).toBeGreaterThanOrEqual(6);
    expect(system!.events.filter(({ kind }) => kind !== "connected")).toEqual([]);
  });

  const shortLived = {
    connections: 1,
    identity: () => issue(authorities.provider, ["client"], [routerName], 4_000),
  };

  test("clients that stay go on over the next connection without a failed request (TLS-3)", async () => {
    const sessions: number[] = [];
    await start({
      ...shortLived,
      consumer: tlsServer((identity) => {
        const server = createConnectServer({
          tls: { identity },
          routes: (router) =>
            router.service(flyte.auth.IdentityService, { userInfo: () => ({ name: "ada" }) }),
        });
        server.on("session", () => sessions.push(performance.now()));
        return server;
      }),
    });
    const tls = { authorityPem: system!.organizationPem };
    const router = `https://localhost:${system!.port}`;
    const transport = createRouterTransport(
      { router },
      { tlsFor: () => tls },
      { token: async () => "token" },
    );
    const identities = createClient(flyte.auth.IdentityService, transport);
    const endMs = performance.now() + 9_000;
    await Promise.all(
      Array.from({ length: 4 }, async () => {
        while (performance.now() < endMs) expect((await identities.userInfo({})).name).toBe("ada");
      }),
    );
    expect(sessions.length).toBeGreaterThan(2);
  });

  test("a kept HTTP/1.1 connection is said to be the last in time, and the next one goes on (TLS-3)", async () => {
    await start({
      ...shortLived,
      consumer: tlsServer((identity) =>
        createHttpsServer(serverTlsOptions({ identity }), (_, res) => {
          setTimeout(() => res.end("control"), 20);
        }),
      ),
    });
    const agent = new Agent({ keepAlive: true, maxSockets: 2, ca: system!.organizationPem });
    const sockets = new Set<unknown>();
    const ask = async () => {
      const sent = request({ port: system!.port, host: "localhost", agent }).end();
      const [response] = await once(sent, "response");
      sockets.add(response.socket);
      expect(await text(response)).toBe("control");
    };
    const endMs = performance.now() + 9_000;
    await Promise.all(
      [1, 2].map(async () => {
        while (performance.now() < endMs) await ask();
      }),
    );
    agent.destroy();
    expect(sockets.size).toBeGreaterThan(2);
    expect(sockets.size).toBeLessThan(20);
  });
});

describe("shutting down", () => {
  test("a draining edge takes no new connections and lets the one under way end", async () => {
    await start({ consumer: serve((socket) => socket.pipe(socket)), config: { drainMs: 10_000 } });
    const { port, edge } = system!;
    const socket = await dialTls();
    const closing = edge.close();
    await expect(dialTls("localhost", port)).rejects.toThrow();
    socket.end("still here");
    expect(await text(socket)).toBe("still here");
    await closing;
  });

  test("a draining connector gets no new connections and lets the one under way end", async () => {
    await start({ consumer: serve((socket) => socket.pipe(socket)), limits: { drainMs: 10_000 } });
    const { connector } = system!;
    const socket = await dialTls();
    const closing = connector.close();
    await until(() => system!.edge.status().connectors === 0);
    await expect(dialTls()).rejects.toThrow();
    socket.end("still here");
    expect(await text(socket)).toBe("still here");
    await closing;
  });

  test("connections that do not end are cut after the grace period", async () => {
    await start({ consumer: serve(() => {}) });
    const socket = await dialTls();
    socket.on("error", () => {});
    const cut = new Promise((resolve) => socket.once("close", resolve));
    await system!.edge.close();
    await cut;
  });
});

/** Answers each piece of the request with a message, and the request's end with a trailer. */
function streamingServer(identity: TlsIdentity) {
  const server = createSecureServer(serverTlsOptions({ identity }));
  server.on("stream", (stream) => {
    stream.respond({ ":status": 200 }, { waitForTrailers: true });
    stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
    let count = 0;
    stream.on("data", () => {
      count += 1;
      stream.write(`message ${count}`);
    });
    stream.on("end", () => stream.end());
  });
  return server;
}

/** Unlike an iterator, this leaves the other direction open at the end of this one. */
function collect(socket: Readable, done: (all: string) => void): void {
  let all = "";
  socket.on("data", (chunk: Buffer) => {
    all += chunk;
  });
  socket.once("end", () => done(all));
}

function digest(data: Buffer): string {
  return createHash("sha256").update(data).digest("hex");
}
