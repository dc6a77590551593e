import { once } from "node:events";
import { request } from "node:http";
import { connect as connectHttp2 } from "node:http2";
import { type AddressInfo, connect, createServer, type Server, Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect as connectTls } from "node:tls";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Egress } from "./egress.ts";
import type { Closeable } from "./lifecycle.ts";

let server: Server;
let port: number;
let egress: Egress;
let enforced: Closeable;
let refusals: string[];

beforeEach(async () => {
  server = createServer((socket) => socket.end("hello"));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  ({ port } = server.address() as AddressInfo);
  egress = new Egress();
  refusals = [];
  egress.onRefused(({ host, port: refused }) => refusals.push(`${host}:${refused}`));
  enforced = egress.enforce();
});
afterEach(async () => {
  await enforced.close();
  server.close();
});

/** Resolves with the reason of the failure. */
async function failure(of: {
  once(event: "error", listener: (error: Error & { reason?: string }) => void): unknown;
}): Promise<string | undefined> {
  const error = await new Promise<Error & { reason?: string }>((resolve) => of.once("error", resolve));
  return error.reason;
}

test("only what is on the list is reached; elsewhere is refused and reported, whatever dials (claim RES-4)", async () => {
  egress.allow({ purpose: "test", host: "localhost", port });
  const [greeting] = (await once(connect(port, "localhost"), "data")) as [Buffer];
  expect(greeting.toString()).toBe("hello");

  const ways = [
    () => connect(port, "127.0.0.1"),
    () => connect({ port, host: "127.0.0.1" }),
    () => new Socket().connect(port, "127.0.0.1"),
    () => new Socket().connect({ port, host: "127.0.0.1" }),
    () => connectTls({ port, host: "127.0.0.1" }),
    () => connectTls(port, "127.0.0.1"),
    () => request({ port, host: "127.0.0.1" }),
    () => connectHttp2(`https://127.0.0.1:${port}`),
  ];
  for (const way of ways) expect(await failure(way())).toBe("egress_refused");
  await expect(fetch(`https://127.0.0.1:${port}`)).rejects.toThrow("fetch failed");
  expect(refusals).toEqual(Array(ways.length + 1).fill(`127.0.0.1:${port}`));
});

test("control: the same port is reached by the refused name once it is on the list, and without enforcement", async () => {
  expect(await failure(connect(port, "127.0.0.1"))).toBe("egress_refused");
  egress.allow({ purpose: "test", host: "127.0.0.1", port });
  await once(connect(port, "127.0.0.1"), "data");
  await enforced.close();
  await once(connect(port, "localhost"), "data");
});

test("unix sockets go nowhere and are let through", async () => {
  const path = join(tmpdir(), `egress-${process.pid}.sock`);
  const local = createServer((socket) => socket.end("hello")).listen(path);
  await once(local, "listening");
  await once(connect(path), "data");
  await once(connect({ path }), "data");
  local.close();
  expect(refusals).toEqual([]);
});
