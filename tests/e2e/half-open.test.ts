/** Handshakes that begin and don't go on, a thousand at a time, at each public service: honest clients go on meanwhile. */
import { type Socket, connect as tcpConnect } from "node:net";
import { join } from "node:path";
import { flyte } from "@biplane/data-wire";
import { fetchPage } from "@biplane/verify/sign-in/browser";
import { createClient } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { clientHello } from "../contract/tunnel-system.ts";
import { Daemon } from "../support/daemon.ts";
import { requestToken } from "./sign-in.ts";
import { type System, startSystem } from "./system.ts";

const services = ["router", "authority", "objects"] as const;
const count = 1_000;

let system: System;
let hello: Buffer;
beforeAll(async () => {
  system = await startSystem();
  hello = await clientHello("localhost");
});
afterAll(() => system?.close());

/** Each has said hello and leaves the server's answer unanswered. */
async function openHalf(port: number): Promise<Socket[]> {
  const sockets = Array.from({ length: count }, () => tcpConnect(port, "127.0.0.1").on("error", () => {}));
  await Promise.all(
    sockets.map(
      (socket) =>
        new Promise<void>((resolve) => {
          socket.once("close", () => resolve());
          socket.once("connect", () => socket.write(hello, () => resolve()));
        }),
    ),
  );
  for (const socket of sockets) socket.resume();
  return sockets;
}

/** A person signs in, calls the router, and reaches the object store, each over new connections. */
async function goOn(): Promise<void> {
  const { profile } = system;
  await requestToken(profile, system.client);
  const { subject } = await createClient(flyte.auth.IdentityService, system.transport()).userInfo({});
  expect(subject).toBe(system.client.id);
  expect((await fetchPage(profile.rootPem, "GET", `${profile.objects}/`)).status).toBe(403);
}

async function flood(): Promise<void> {
  for (const service of services) {
    const sockets = await openHalf(system.ports[service]);
    try {
      for (let round = 0; round < 3; round += 1) await goOn();
    } finally {
      for (const socket of sockets) socket.destroy();
    }
  }
}

describe("1,000 half-open handshakes (claim NET-1)", () => {
  test("control: without them everything is reached", goOn);

  test("through the edge at the router, the authority and the object store: honest clients go on", flood);

  test("at a data plane that listens itself: honest clients go on, and silent ones are closed in time", async () => {
    await system.data.stop();
    await system.edge.stop();
    const data = new Daemon({
      program: "data",
      parameters: () => ["start", "--state", join(system.folder, "data"), "--listen", "--allow-unsandboxed"],
      logPath: join(system.folder, "data.log"),
    });
    await data.start();
    try {
      await flood();
      const silent = await openHalf(system.ports.router);
      await Promise.all(
        silent.map((socket) => socket.destroyed || new Promise((done) => socket.once("close", done))),
      );
      await goOn();
    } finally {
      await data.stop();
    }
  });
});
