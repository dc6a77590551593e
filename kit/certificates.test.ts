import { X509Certificate } from "node:crypto";
import type { AddressInfo } from "node:net";
import { connect, createServer } from "node:tls";
import { expect, test } from "vitest";
import {
  createCertificateRequest,
  createRootAuthority,
  issueCertificate,
  signCertificateRequest,
  signIntermediateRequest,
} from "./certificates.ts";
import { clientTlsOptions, serverTlsOptions, type TlsIdentity } from "./tls.ts";

const hour = 3_600_000;

test("a leaf verifies through its intermediate up to the root", async () => {
  const root = await createRootAuthority("acme root", 24 * hour);
  const intermediate = await intermediateBelow(root);
  const leaf = await issueCertificate(intermediate, {
    commonName: "router",
    hosts: ["localhost", "127.0.0.1"],
    uses: ["server"],
    lifetimeMs: hour,
  });
  const [rootX, middleX, leafX] = [root, intermediate, leaf].map(
    (one) => new X509Certificate(one.certificatePem),
  );
  expect(leafX!.verify(middleX!.publicKey)).toBe(true);
  expect(middleX!.verify(rootX!.publicKey)).toBe(true);
  expect(leafX!.verify(rootX!.publicKey)).toBe(false);
  expect(leafX!.subjectAltName).toBe("DNS:localhost, IP Address:127.0.0.1");
});

test("a request's key is certified under the names that the issuer decides", async () => {
  const root = await createRootAuthority("provider", 24 * hour);
  const { requestDer } = await createCertificateRequest("anything");
  const certificate = await signCertificateRequest(root, requestDer, {
    commonName: "cluster-a",
    hosts: ["a.example.com"],
    uses: ["client"],
    lifetimeMs: hour,
  });
  expect(new X509Certificate(certificate).subject).toBe("CN=cluster-a");
});

test("an intermediate bears the names that its issuer gave, and vouches for the hosts that it was made for alone", async () => {
  const root = await createRootAuthority("acme root", 24 * hour);
  const narrow = await intermediateBelow(root, ["b.example.com", "127.0.0.1"]);
  expect(new X509Certificate(narrow.certificatePem).subjectAltName).toBe("URI:urn:test:b");
  await expect(shake(root, narrow, "b.example.com")).resolves.toBe("trusted");
  await expect(shake(root, narrow, "127.0.0.1")).resolves.toBe("trusted");
  await expect(shake(root, narrow, "a.example.com")).resolves.toMatch(/permitted subtree/i);
  await expect(shake(root, narrow, "127.0.0.2")).resolves.toMatch(/permitted subtree/i);
  // The control: the same certificate below an authority without limits.
  await expect(shake(root, await intermediateBelow(root), "a.example.com")).resolves.toBe("trusted");
});

async function intermediateBelow(
  root: TlsIdentity,
  permittedHosts?: readonly string[],
): Promise<TlsIdentity> {
  const { requestDer, privateKeyPem } = await createCertificateRequest("anything");
  const certificatePem = await signIntermediateRequest(root, requestDer, {
    commonName: "acme cluster",
    lifetimeMs: hour,
    uris: ["urn:test:b"],
    ...(permittedHosts === undefined ? {} : { permittedHosts }),
  });
  return { certificatePem, privateKeyPem };
}

/** How a client that believes the root ends up with a server that shows a certificate for the host. */
async function shake(root: TlsIdentity, issuer: TlsIdentity, host: string): Promise<string> {
  const leaf = await issueCertificate(issuer, {
    commonName: "router",
    hosts: [host],
    uses: ["server"],
    lifetimeMs: hour,
  });
  const certificatePem = `${leaf.certificatePem.trim()}\n${issuer.certificatePem}`;
  const server = createServer(serverTlsOptions({ identity: { ...leaf, certificatePem } }));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return new Promise((resolve) => {
    const trust = clientTlsOptions({ authorityPem: root.certificatePem });
    const ends = (text: string) => {
      server.close();
      socket.destroy();
      resolve(text);
    };
    const name = host.startsWith("127.") ? {} : { servername: host };
    const check = { checkServerIdentity: () => undefined };
    const socket = connect({ port, host: "127.0.0.1", ...trust, ...name, ...check }, () => ends("trusted"));
    socket.on("error", (error) => ends(error.message));
  });
}
