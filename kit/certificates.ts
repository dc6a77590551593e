/** Authorities and certificates that Biplane makes for itself: roots, intermediates, leaves, requests. */
import { createHash, randomBytes, webcrypto, X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import "reflect-metadata";
import * as x509 from "@peculiar/x509";
import type { TlsIdentity } from "./tls.ts";

x509.cryptoProvider.set(webcrypto as unknown as Parameters<typeof x509.cryptoProvider.set>[0]);

/** RFC 9336: id-kp-documentSigning. */
export const documentSigningUse = "1.3.6.1.5.5.7.3.36";

const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
/** Clocks differ: certificates begin a little in the past. */
const backdateMs = 5 * 60_000;

export interface CertificateOptions {
  readonly commonName: string;
  /** Names and addresses that the certificate is good for. */
  readonly hosts?: readonly string[];
  readonly uses: readonly ("server" | "client")[];
  readonly lifetimeMs: number;
}

/** A new authority that signs for itself. `pathLength` 0 signs leaves only; the root signs intermediates. */
export async function createRootAuthority(
  name: string,
  lifetimeMs: number,
  pathLength = 1,
): Promise<TlsIdentity> {
  const keys = await createKeys();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: newSerial(),
    name: `CN=${name}`,
    ...validity(lifetimeMs),
    keys,
    signingAlgorithm: algorithm,
    extensions: authorityExtensions(pathLength),
  });
  return { certificatePem: certificate.toString("pem"), privateKeyPem: await exportKey(keys.privateKey) };
}

/** An authority below another one. Its PEM is its certificate alone; chains are put together where they are shown. */
export async function createIntermediateAuthority(
  issuer: TlsIdentity,
  name: string,
  lifetimeMs: number,
  uris: readonly string[] = [],
): Promise<TlsIdentity> {
  const keys = await createKeys();
  const extensions = [...authorityExtensions(0), ...uriNames(uris)];
  const certificate = await sign(issuer, keys.publicKey, name, lifetimeMs, extensions);
  return { certificatePem: certificate, privateKeyPem: await exportKey(keys.privateKey) };
}

/** Key and certificate in one go, for a party that the issuer shares a machine with. */
export async function issueCertificate(
  issuer: TlsIdentity,
  options: CertificateOptions,
): Promise<TlsIdentity> {
  const keys = await createKeys();
  const certificate = await sign(
    issuer,
    keys.publicKey,
    options.commonName,
    options.lifetimeMs,
    leafExtensions(options),
  );
  return { certificatePem: certificate, privateKeyPem: await exportKey(keys.privateKey) };
}

/** Key and certificate of someone who signs documents in the name of `uri`, and can do nothing else with them. */
export async function issueDocumentSigner(
  issuer: TlsIdentity,
  options: { readonly commonName: string; readonly uri: string; readonly lifetimeMs: number },
): Promise<TlsIdentity> {
  const keys = (await webcrypto.subtle.generateKey("Ed25519", true, ["sign", "verify"])) as KeyPair;
  const certificate = await sign(issuer, keys.publicKey, options.commonName, options.lifetimeMs, [
    new x509.BasicConstraintsExtension(false, undefined, true),
    new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
    new x509.ExtendedKeyUsageExtension([documentSigningUse], true),
    ...uriNames([options.uri]),
  ]);
  return { certificatePem: certificate, privateKeyPem: await exportKey(keys.privateKey) };
}

/** A PKCS#10 request whose key stays with the caller. DER. */
export async function createCertificateRequest(
  commonName: string,
): Promise<{ requestDer: Uint8Array; privateKeyPem: string }> {
  const keys = await createKeys();
  const request = await x509.Pkcs10CertificateRequestGenerator.create({
    name: `CN=${commonName}`,
    keys,
    signingAlgorithm: algorithm,
  });
  return { requestDer: new Uint8Array(request.rawData), privateKeyPem: await exportKey(keys.privateKey) };
}

/** Signs a request's key under names that the issuer decides; what the request asks for is not believed. PEM. */
export async function signCertificateRequest(
  issuer: TlsIdentity,
  requestDer: Uint8Array,
  options: CertificateOptions,
): Promise<string> {
  const request = new x509.Pkcs10CertificateRequest(Buffer.from(requestDer));
  if (!(await request.verify())) throw new Error("The certificate request is not signed by its own key.");
  const publicKey = await request.publicKey.export();
  return sign(issuer, publicKey, options.commonName, options.lifetimeMs, leafExtensions(options));
}

/** SHA-256 over the DER form, in lower-case hex. */
export function fingerprint(certificate: string | Uint8Array): string {
  return createHash("sha256").update(new X509Certificate(certificate).raw).digest("hex");
}

type KeyPair = Awaited<ReturnType<typeof createKeys>>;

function createKeys() {
  return webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
}

async function exportKey(key: KeyPair["privateKey"]): Promise<string> {
  const der = Buffer.from(await webcrypto.subtle.exportKey("pkcs8", key));
  return `-----BEGIN PRIVATE KEY-----\n${der
    .toString("base64")
    .replace(/(.{64})/g, "$1\n")
    .trim()}\n-----END PRIVATE KEY-----\n`;
}

async function importKey(pem: string): Promise<KeyPair["privateKey"]> {
  const der = Buffer.from(pem.replace(/-----[^-]+-----|\s/g, ""), "base64");
  return webcrypto.subtle.importKey("pkcs8", der, algorithm, true, ["sign"]);
}

async function sign(
  issuer: TlsIdentity,
  publicKey: KeyPair["publicKey"],
  commonName: string,
  lifetimeMs: number,
  extensions: x509.Extension[],
): Promise<string> {
  const issuerCertificate = new x509.X509Certificate(issuer.certificatePem);
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: newSerial(),
    subject: `CN=${commonName}`,
    issuer: issuerCertificate.subject,
    ...validity(lifetimeMs),
    publicKey,
    signingKey: await importKey(issuer.privateKeyPem),
    signingAlgorithm: algorithm,
    extensions: [
      ...extensions,
      await x509.SubjectKeyIdentifierExtension.create(publicKey),
      await x509.AuthorityKeyIdentifierExtension.create(issuerCertificate),
    ],
  });
  return certificate.toString("pem");
}

function authorityExtensions(pathLength: number): x509.Extension[] {
  return [
    new x509.BasicConstraintsExtension(true, pathLength, true),
    new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
  ];
}

function uriNames(uris: readonly string[]): x509.Extension[] {
  if (uris.length === 0) return [];
  return [new x509.SubjectAlternativeNameExtension(uris.map((value) => ({ type: "url", value }) as const))];
}

function leafExtensions(options: CertificateOptions): x509.Extension[] {
  const usages = { server: x509.ExtendedKeyUsage.serverAuth, client: x509.ExtendedKeyUsage.clientAuth };
  const names = (options.hosts ?? []).map(
    (host) => ({ type: isIP(host) ? "ip" : "dns", value: host }) as const,
  );
  return [
    new x509.BasicConstraintsExtension(false, undefined, true),
    new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
    new x509.ExtendedKeyUsageExtension(options.uses.map((use) => usages[use])),
    ...(names.length > 0 ? [new x509.SubjectAlternativeNameExtension(names)] : []),
  ];
}

function validity(lifetimeMs: number): { notBefore: Date; notAfter: Date } {
  const now = Date.now();
  return { notBefore: new Date(now - backdateMs), notAfter: new Date(now + lifetimeMs) };
}

function newSerial(): string {
  const bytes = randomBytes(16);
  bytes[0] = bytes[0]! & 0x7f;
  return bytes.toString("hex");
}
