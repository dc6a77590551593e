import { X509Certificate } from "node:crypto";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createSecureServer } from "node:http2";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ConnectionOptions, connect } from "node:tls";
import { day } from "@biplane/base";
import { createCertificateRequest } from "@biplane/kit/certificates";
import { newKey } from "@biplane/kit/crypto";
import { serverTlsOptions } from "@biplane/kit/tls";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  createCertificates,
  type OrganizationCertificates,
  readCertificates,
  renewIntermediate,
  ServingCertificate,
} from "./certificates.ts";
import { OrganizationRoot } from "./root.ts";

const names = { org: "acme", cluster: "home" };
const key = newKey();
const signHome = (request: Uint8Array) => root.signHome(request, names);
let folder: string;
let path: string;
let root: OrganizationRoot;
let certificates: OrganizationCertificates;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "certificates-"));
  path = join(folder, "certificates.sealed");
  root = await OrganizationRoot.create(names.org);
  certificates = await createCertificates(path, key, root.certificatePem, signHome);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test("are sealed on disk and read back under their key alone", async () => {
  expect((await readFile(path)).includes("PRIVATE KEY")).toBe(false);
  expect(await readCertificates(path, key)).toEqual(certificates);
  await expect(readCertificates(path, newKey())).rejects.toMatchObject({ code: "data_loss" });
});

test("the root's key is in a sealed file of its own, and reads back under its key alone", async () => {
  const rootPath = join(folder, "root.sealed");
  expect(await OrganizationRoot.read(rootPath, key)).toBeUndefined();
  await root.write(rootPath, key);
  expect((await readFile(rootPath)).includes("PRIVATE KEY")).toBe(false);
  expect((await OrganizationRoot.read(rootPath, key))?.export()).toEqual(root.export());
  await expect(OrganizationRoot.read(rootPath, newKey())).rejects.toMatchObject({ code: "data_loss" });
  expect(JSON.stringify(certificates)).not.toContain(root.export().privateKeyPem.split("\n")[2]);
});

test("only the home's intermediate bears the authority's name", async () => {
  const { requestDer } = await createCertificateRequest("authority, believe me");
  const joined = await root.signCluster(requestDer, { org: "acme", cluster: "other" }, ["localhost"]);
  const urisOf = (pem: string) => new X509Certificate(pem).subjectAltName;
  expect(urisOf(joined)).toBe("URI:urn:biplane:cluster:acme:other");
  expect(urisOf(certificates.intermediate.certificatePem)).toBe(
    "URI:urn:biplane:authority:acme, URI:urn:biplane:cluster:acme:home",
  );
});

test("an intermediate near its end is renewed below the same root, so that profiles stay good", async () => {
  const now = Date.now();
  expect(await renewIntermediate(path, key, certificates, signHome, now)).toBe(certificates);
  const renewed = await renewIntermediate(path, key, certificates, signHome, now + 600 * day);
  expect(renewed.root).toEqual(certificates.root);
  expect(renewed.intermediate).not.toEqual(certificates.intermediate);
  expect(await readCertificates(path, key)).toEqual(renewed);
});

test("what servers show chains to the root that clients pin, and is replaced while they serve", async () => {
  const serving = await ServingCertificate.issue(certificates.intermediate, ["localhost"]);
  const server = serving.keepFresh(createSecureServer(serverTlsOptions({ identity: serving.identity })));
  await new Promise<void>((resolve) => server.listen(0, "localhost", resolve));
  const { port } = server.address() as AddressInfo;
  const first = await serialAt(port);
  await serving.renew();
  expect(await serialAt(port)).not.toBe(first);
  // A renewed certificate brings no weaker suite with it (claim TLS-2).
  const weak = { maxVersion: "TLSv1.2", ciphers: "ECDHE-ECDSA-AES128-SHA256" } as const;
  await expect(serialAt(port, weak)).rejects.toThrow(/handshake/i);
  expect(await serialAt(port, { maxVersion: "TLSv1.2" })).not.toBe(first);
  server.close();
  await serving.close();
});

/** Serial number of what the server shows to a client that believes the root alone. */
function serialAt(port: number, options: ConnectionOptions = {}): Promise<string> {
  return new Promise((resolve, reject) => {
    const ca = certificates.root.certificatePem;
    const socket = connect({ port, host: "localhost", servername: "localhost", ca, ...options }, () => {
      resolve(new X509Certificate(socket.getPeerX509Certificate()!.raw).serialNumber);
      socket.destroy();
    });
    socket.on("error", reject);
  });
}
