import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { parseEdgeConfig, readEdgeConfig, readEdgeState } from "./config.ts";
import { RevokedCertificates } from "./revoked-certificates.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "edge-config-"));
});
afterAll(() => rm(folder, { recursive: true }));

const tunnel = "router.home.acme.tunnel.biplane.internal";

test("a listener leads to one tunnel name or chooses by server name; names are compared in lower case", () => {
  const config = parseEdgeConfig(
    {
      tunnel: {},
      listeners: [
        { name: "router", port: 0, tunnel },
        { name: "public", port: 443, hosts: { "ACME.example.com": tunnel } },
      ],
    },
    "edge.json",
  );
  expect(config.tunnel).toEqual({ host: "127.0.0.1", port: 8446 });
  expect(config.listeners[1]?.hosts).toEqual({ "acme.example.com": tunnel });
});

test.each([
  ["both ways to choose", { name: "a", port: 1, tunnel, hosts: {} }, /either `tunnel` or `hosts`/],
  ["neither", { name: "a", port: 1 }, /either `tunnel` or `hosts`/],
  ["a misspelt option", { name: "a", port: 1, tunnel, tls: true }, /tls/],
  ["no host name", { name: "a", port: 1, tunnel: "a b" }, /not a host name/],
  ["no port", { name: "a", port: 70_000, tunnel }, /65535/],
])("a listener with %s is refused and named", (_, listener, message) => {
  expect(() => parseEdgeConfig({ tunnel: {}, listeners: [listener] }, "edge.json")).toThrow(message);
});

test("a missing or broken file is named, with what to do", async () => {
  await expect(readEdgeConfig(join(folder, "none.json"))).rejects.toThrow(/none\.json cannot be read/);
  await writeFile(join(folder, "broken.json"), "{");
  await expect(readEdgeConfig(join(folder, "broken.json"))).rejects.toThrow(/broken\.json is not JSON/);
  await expect(readEdgeState(folder)).rejects.toThrow(/biplane control edge-identity/);
});

test("the list of revoked certificates may be absent, holds remarks, and is read again when it changes", async () => {
  const path = join(folder, "revoked.txt");
  const fingerprint = "ab".repeat(32);
  const ignore = () => {};
  const list = await RevokedCertificates.watch(path, ignore, ignore);
  try {
    expect(list.has(fingerprint)).toBe(false);
    await writeFile(path, `# cluster home\n${fingerprint.toUpperCase()} # lost laptop\n`);
    await expect.poll(() => list.has(fingerprint), { timeout: 10_000 }).toBe(true);
  } finally {
    list.close();
  }
});

test("a broken list at the start is an error; later on the last good one stays in force", async () => {
  const path = join(folder, "revoked-broken.txt");
  await writeFile(path, "not a fingerprint\n");
  const ignore = () => {};
  await expect(RevokedCertificates.watch(path, ignore, ignore)).rejects.toThrow(/Line 1 of/);
  const fingerprint = "cd".repeat(32);
  await writeFile(path, `${fingerprint}\n`);
  let failures = 0;
  const list = await RevokedCertificates.watch(path, ignore, () => {
    failures += 1;
  });
  try {
    await writeFile(path, "broken again, and longer\n");
    await expect.poll(() => failures, { timeout: 10_000 }).toBe(1);
    expect(list.has(fingerprint)).toBe(true);
  } finally {
    list.close();
  }
});
