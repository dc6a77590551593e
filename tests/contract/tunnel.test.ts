/** What passes through the tunnel, judged by ordinary TLS, HTTP/1.1 and HTTP/2 clients and servers at its ends. */
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer as createHttpsServer, request } from "node:https";
import { connect as tcpConnect } from "node:net";
import { buffer, text } from "node:stream/consumers";
import { createServer, type TLSSocket, connect as tlsConnect } from "node:tls";
import { serverTlsOptions } from "@biplane/kit";
import { afterEach, beforeAll, describe, expect, test } from "vitest";
import {
  type Authorities,
  clientHello,
  createAuthorities,
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
        void text(socket).then((all) => {
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
        void text(socket).then((all) => {
          received = all;
        });
      },
    });
    const client = tcpConnect({ port: system!.port, allowHalfOpen: true });
    client.write(hello);
    // Not text(): its iterator would destroy the socket at the end of the first direction.
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

function digest(data: Buffer): string {
  return createHash("sha256").update(data).digest("hex");
}
