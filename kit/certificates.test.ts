import { X509Certificate } from "node:crypto";
import { expect, test } from "vitest";
import {
  createCertificateRequest,
  createIntermediateAuthority,
  createRootAuthority,
  issueCertificate,
  signCertificateRequest,
} from "./certificates.ts";

const hour = 3_600_000;

test("a leaf verifies through its intermediate up to the root", async () => {
  const root = await createRootAuthority("acme root", 24 * hour);
  const intermediate = await createIntermediateAuthority(root, "acme cluster", hour);
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
