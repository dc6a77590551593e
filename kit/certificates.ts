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

/** A new authority that signs for itself. `pathLength`: of authorities below it; with 0 it signs leaves only. */
export async function createRootAuthority(
  name: string,
  lifetimeMs: number,
  pathLength = 1,
  uris: readonly string[] = [],
): Promise<TlsIdentity> {
  const keys = await createKeys();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: newSerial(),
    name: `CN=${name}`,
    ...validity(lifetimeMs),
    keys,
    signingAlgorithm: algorithm,
    extensions: [...authorityExtensions(pathLength), ...uriNames(uris)],
  });
  return { certificatePem: certificate.toString("pem"), privateKeyPem: await exportKey(keys.privateKey) };
}

/** What an authority below another one may vouch for. */
export interface IntermediateOptions {
  readonly commonName: string;
  readonly lifetimeMs: number;
  /** Say whose authority it is and for what: the issuer's word, which nobody below can add to. */
  readonly uris: readonly string[];
  /** Names and addresses that certificates below it may be good for, and no others; all of them where absent. */
  readonly permittedHosts?: readonly string[];
}

/** Signs an authority's request; what the request itself asks for is not believed. Its certificate alone, PEM. */
export async function signIntermediateRequest(
  issuer: TlsIdentity,
  requestDer: Uint8Array,
  { commonName, lifetimeMs, uris, permittedHosts }: IntermediateOptions,
): Promise<string> {
  // Also for documents that it signs itself.
  const extensions = [
    ...authorityExtensions(0, x509.KeyUsageFlags.digitalSignature),
    ...uriNames(uris),
    ...(permittedHosts === undefined ? [] : [permittedNames(permittedHosts)]),
  ];
  return sign(issuer, await keyOfRequest(requestDer), commonName, lifetimeMs, extensions);
}

/**
 * A root's word for the root that follows it: the same name and key under the old root's signature (RFC 4210 section 4.4
 * calls it "new with old"). Whoever knows the old root alone is led to it, and from there on. PEM.
 */
export async function crossCertify(
  issuer: TlsIdentity,
  rootPem: string,
  uris: readonly string[],
): Promise<string> {
  const root = new x509.X509Certificate(rootPem);
  const lifetimeMs = new X509Certificate(issuer.certificatePem).validToDate.getTime() - Date.now();
  const extensions = [...authorityExtensions(1), ...uriNames(uris)];
  const [commonName = ""] = root.subjectName.getField("CN");
  return sign(issuer, await root.publicKey.export(), commonName, lifetimeMs, extensions);
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
  const publicKey = await keyOfRequest(requestDer);
  return sign(issuer, publicKey, options.commonName, options.lifetimeMs, leafExtensions(options));
}

async function keyOfRequest(requestDer: Uint8Array): Promise<KeyPair["publicKey"]> {
  const request = new x509.Pkcs10CertificateRequest(Buffer.from(requestDer));
  if (!(await request.verify())) throw new Error("The certificate request is not signed by its own key.");
  return request.publicKey.export();
}

/**
 * Whether an authority's certificate was issued by the root and is in date, and the root signed itself: an authority
 * that is believed for what it signs, not for a connection, has nobody else to check it.
 */
export function isIssuedByRoot(authority: X509Certificate, root: X509Certificate, nowMs: number): boolean {
  return (
    [authority, root].every((one) => one.ca && isInDate(one, nowMs)) &&
    root.verify(root.publicKey) &&
    authority.checkIssued(root) &&
    authority.verify(root.publicKey)
  );
}

/** When a certificate is to be replaced: after two thirds of its life, so that a third remains for trying again. */
export function renewalMs(certificatePem: string): number {
  const { validFromDate, validToDate } = new X509Certificate(certificatePem);
  const issuedMs = validFromDate.getTime() + backdateMs;
  return issuedMs + ((validToDate.getTime() - issuedMs) * 2) / 3;
}

/** The URIs that a certificate's issuer wrote into it. */
export function urisOf(certificate: X509Certificate): readonly string[] {
  const names = (certificate.subjectAltName ?? "").split(", ");
  return names.flatMap((name) => (name.startsWith("URI:") ? [name.slice("URI:".length)] : []));
}

function isInDate({ validFromDate, validToDate }: X509Certificate, nowMs: number): boolean {
  return validFromDate.getTime() <= nowMs && nowMs < validToDate.getTime();
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

function authorityExtensions(pathLength: number, furtherUsages = 0): x509.Extension[] {
  const usages = x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign | furtherUsages;
  return [
    new x509.BasicConstraintsExtension(true, pathLength, true),
    new x509.KeyUsagesExtension(usages, true),
  ];
}

function uriNames(uris: readonly string[]): x509.Extension[] {
  if (uris.length === 0) return [];
  return [new x509.SubjectAlternativeNameExtension(uris.map((value) => ({ type: "url", value }) as const))];
}

const nameConstraintsId = "2.5.29.30";
const der = { sequence: 0x30, permitted: 0xa0, hostName: 0x82, address: 0x87 } as const;

/** RFC 5280 section 4.2.1.10. Critical: who does not understand it must not believe the authority. */
function permittedNames(hosts: readonly string[]): x509.Extension {
  const subtrees = hosts.map((host) => element(der.sequence, constrainedName(host)));
  const content = element(der.sequence, element(der.permitted, Buffer.concat(subtrees)));
  return new x509.Extension(nameConstraintsId, true, new Uint8Array(content));
}

/** An address in a constraint comes with its mask: here all of its bits count. */
function constrainedName(host: string): Buffer {
  if (isIP(host) === 0) return element(der.hostName, Buffer.from(host, "ascii"));
  const name = Buffer.from(new x509.GeneralName("ip", host).rawData);
  const address = name.subarray(2);
  return element(der.address, Buffer.concat([address, Buffer.alloc(address.length, 0xff)]));
}

function element(tag: number, content: Uint8Array): Buffer {
  const { length } = content;
  const size = length < 0x80 ? [length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...size]), content]);
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
