/** TLS 1.2 at least, strong suites only, at every listener of the system, as a scanner sees it (claims TLS-1, TLS-2). */
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { createServer } from "node:tls";
import { day } from "@biplane/base";
import { createRootAuthority, issueCertificate } from "@biplane/kit/certificates";
import { listeners } from "@biplane/verify/machine/listeners";
import { afterAll, beforeAll, expect, test } from "vitest";
import { describeWithTools } from "../support/tools.ts";
import { scanTls, weaknesses } from "./sslscan.ts";
import { type System, startSystem } from "./system.ts";

describeWithTools("a scanner", ["sslscan"], () => {
  let system: System;
  beforeAll(async () => {
    system = await startSystem();
  });
  afterAll(() => system?.close());

  test("finds strong TLS and nothing else at every listener of every plane's process", async () => {
    const daemons = { control: system.control, edge: system.edge, data: system.data };
    const found = Object.entries(daemons).flatMap(([name, { pid }]) =>
      listeners(pid).map((port) => ({ name: `${name} at ${port}`, port })),
    );
    // The link; the tunnel and three public ones; none of the data plane's (claim NET-1).
    expect(found.map(({ name }) => name.split(" ")[0])).toEqual(["control", ...Array(4).fill("edge")]);
    const scans = await Promise.all(
      found.map(async (one) => [one.name, weaknesses(await scanTls("localhost", one.port))]),
    );
    expect(scans).toEqual(found.map(({ name }) => [name, []]));
  });

  test("control: a server with an older version and a weak suite is reported", async () => {
    const root = await createRootAuthority("Weak", day);
    const { certificatePem, privateKeyPem } = await issueCertificate(root, {
      commonName: "localhost",
      hosts: ["localhost"],
      uses: ["server"],
      lifetimeMs: day,
    });
    const server = createServer({
      cert: certificatePem,
      key: privateKeyPem,
      minVersion: "TLSv1",
      ciphers: "ALL:@SECLEVEL=0",
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    try {
      const found = weaknesses(await scanTls("localhost", (server.address() as AddressInfo).port));
      expect(found).toContain("it speaks TLSv1.1");
      expect(found.some((what) => what.includes("CBC") || /accepts ECDHE-ECDSA-AES\d+-SHA/.test(what))).toBe(
        true,
      );
    } finally {
      server.close();
    }
  });
});
