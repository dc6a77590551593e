import { mkdtemp, rm } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, createServer } from "node:tls";
import { createLogger, serverTlsOptions } from "@biplane/kit";
import { expect, test } from "vitest";
import { openProviderAuthority } from "./enrollment/authority.ts";
import { keepCertificateFresh, listenerTls } from "./server-certificate.ts";

test("a listener gets a new certificate of the same authority while connections stay open", async () => {
  const folder = await mkdtemp(join(tmpdir(), "biplane-certificate-"));
  const authority = await openProviderAuthority(folder);
  const server = createServer(serverTlsOptions(await listenerTls(authority, ["localhost"])), (socket) => {
    socket.on("error", () => socket.destroy());
    socket.pipe(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const dial = async () => {
    const socket = connect({ port, host: "localhost", ca: authority.rootPem });
    await new Promise((resolve, reject) => socket.once("secureConnect", resolve).once("error", reject));
    return { socket, serial: socket.getPeerX509Certificate()!.serialNumber };
  };
  const first = await dial();
  const log = createLogger({ component: "test", level: "silent" });
  const fresh = keepCertificateFresh(server, authority, ["localhost"], log, 20);
  let later = await dial();
  while (later.serial === first.serial) {
    later.socket.end();
    later = await dial();
  }
  const echoed = new Promise((resolve) => first.socket.once("data", (data) => resolve(`${data}`)));
  first.socket.write("still here");
  expect(await echoed).toBe("still here");
  await fresh.close();
  for (const { socket } of [first, later]) socket.destroy();
  await new Promise((resolve) => server.close(resolve));
  await rm(folder, { recursive: true, force: true });
});
