/**
 * Documents signed as compact JWS with the signer's certificates in their header (RFC 7515 section 4.1.6). Whoever
 * knows the root can judge them; a certificate that was made for anything else than signing documents can't sign one.
 */
import { X509Certificate } from "node:crypto";
import "reflect-metadata";
import * as x509 from "@peculiar/x509";
import { CompactSign, type CryptoKey, compactVerify, decodeProtectedHeader, importPKCS8 } from "jose";
import { documentSigningUse } from "./certificates.ts";
import type { TlsIdentity } from "./tls.ts";

const algorithm = "EdDSA";
const certificatesMax = 3;
const nestingMax = 8;

export type OpenedDocument =
  | { readonly kind: "open"; readonly payload: unknown }
  | { readonly kind: SignatureRefusal };

export type SignatureRefusal =
  | "too_large"
  | "unreadable"
  /** Of another kind, or with a header that says more than it should. */
  | "wrong_type"
  /** The certificates do not lead to the root. */
  | "unknown_authority"
  | "certificate_expired"
  /** The certificates lead to the root, but were not made for signing documents of this authority. */
  | "wrong_signer"
  | "bad_signature";

export interface DocumentTrust {
  readonly type: string;
  readonly rootPem: string;
  /** What signer and intermediates have to bear as a name of theirs. */
  readonly signerUri: string;
  readonly nowMs: number;
  readonly bytesMax: number;
}

/** `chain`: the signer's certificate, then its issuers up to the one below the root. */
export async function signDocument(
  payload: object,
  type: string,
  { certificatePem, privateKeyPem }: TlsIdentity,
): Promise<string> {
  const key = (await importPKCS8(privateKeyPem, algorithm)) as CryptoKey;
  const x5c = certificatesOf(certificatePem).map((one) => one.raw.toString("base64"));
  return new CompactSign(new TextEncoder().encode(JSON.stringify(payload)))
    .setProtectedHeader({ alg: algorithm, typ: type, x5c })
    .sign(key);
}

/** Never throws: what can't be believed has a name. */
export async function openDocument(text: string, trust: DocumentTrust): Promise<OpenedDocument> {
  if (text.length > trust.bytesMax) return { kind: "too_large" };
  const chain = readHeader(text, trust.type);
  if (typeof chain === "string") return { kind: chain };
  const refusal = judgeChain(chain, trust);
  if (refusal !== undefined) return { kind: refusal };
  try {
    const { payload } = await compactVerify(text, chain[0]!.publicKey, { algorithms: [algorithm] });
    return parsePayload(payload);
  } catch {
    return { kind: "bad_signature" };
  }
}

function parsePayload(bytes: Uint8Array): OpenedDocument {
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    if (isDeep(text)) return { kind: "unreadable" };
    return { kind: "open", payload: JSON.parse(text) };
  } catch {
    return { kind: "unreadable" };
  }
}

/** Deep nesting costs a parser more than its size says. */
function isDeep(text: string): boolean {
  let depth = 0;
  let quoted = false;
  for (let index = 0; index < text.length; index += 1) {
    const character = text[index];
    if (quoted) {
      if (character === "\\") index += 1;
      else if (character === '"') quoted = false;
    } else if (character === '"') quoted = true;
    else if (character === "{" || character === "[") depth += 1;
    else if (character === "}" || character === "]") depth -= 1;
    if (depth > nestingMax) return true;
  }
  return false;
}

/** Exactly three parameters: one more could change what the signature means (RFC 7515 section 4.1.11). */
function readHeader(text: string, type: string): X509Certificate[] | SignatureRefusal {
  try {
    const header = decodeProtectedHeader(text);
    const { alg, typ, x5c } = header;
    if (Object.keys(header).length !== 3 || alg !== algorithm || typ !== type) return "wrong_type";
    if (!Array.isArray(x5c) || x5c.length === 0 || x5c.length > certificatesMax) return "unreadable";
    return x5c.map((one) => new X509Certificate(Buffer.from(one, "base64")));
  } catch {
    return "unreadable";
  }
}

/** Why a signer is not believed whose certificates these are, its own first; undefined where it is. */
export function judgeChain(
  given: readonly X509Certificate[],
  trust: Pick<DocumentTrust, "rootPem" | "signerUri" | "nowMs">,
): SignatureRefusal | undefined {
  const root = new X509Certificate(trust.rootPem);
  // The word of the root before for this very root, for those who know that one alone.
  const isCross = given.length > 1 && given.at(-1)!.publicKey.equals(root.publicKey);
  const chain = isCross ? given.slice(0, -1) : given;
  for (const [index, certificate] of chain.entries()) {
    const issuer = chain[index + 1] ?? root;
    if (!isIssuedBy(certificate, issuer)) return "unknown_authority";
    const { validFromDate, validToDate } = certificate;
    if (trust.nowMs < validFromDate.getTime() || trust.nowMs > validToDate.getTime()) {
      return "certificate_expired";
    }
  }
  if (trust.nowMs > root.validToDate.getTime()) return "certificate_expired";
  const [leaf, ...authorities] = chain.map((one) => new x509.X509Certificate(one.raw));
  const isFit =
    mayOnlySignDocuments(leaf!) &&
    authorities.every((authority, below) => mayIssue(authority, below)) &&
    mayIssue(new x509.X509Certificate(root.raw), authorities.length) &&
    [leaf!, ...authorities].every((one) => bears(one, trust.signerUri));
  // The root signs intermediates only: a leaf right below it was not made by the authority.
  return isFit && authorities.length > 0 ? undefined : "wrong_signer";
}

function isIssuedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  try {
    return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
  } catch {
    return false;
  }
}

function mayOnlySignDocuments(leaf: x509.X509Certificate): boolean {
  const constraints = leaf.getExtension(x509.BasicConstraintsExtension);
  const usages = leaf.getExtension(x509.KeyUsagesExtension)?.usages;
  const uses = leaf.getExtension(x509.ExtendedKeyUsageExtension)?.usages ?? [];
  return (
    constraints?.ca !== true &&
    usages === x509.KeyUsageFlags.digitalSignature &&
    uses.length === 1 &&
    uses[0] === documentSigningUse
  );
}

/** RFC 5280 section 4.2.1.9: `below` counts the authorities between this one and the leaf. */
function mayIssue(authority: x509.X509Certificate, below: number): boolean {
  const constraints = authority.getExtension(x509.BasicConstraintsExtension);
  const usages = authority.getExtension(x509.KeyUsagesExtension)?.usages ?? 0;
  if (constraints?.ca !== true || (usages & x509.KeyUsageFlags.keyCertSign) === 0) return false;
  return constraints.pathLength === undefined || below <= constraints.pathLength;
}

function bears(certificate: x509.X509Certificate, uri: string): boolean {
  const names = certificate.getExtension(x509.SubjectAlternativeNameExtension)?.names.items ?? [];
  return names.some(({ type, value }) => type === "url" && value === uri);
}

function certificatesOf(pem: string): X509Certificate[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  return blocks.map((block) => new X509Certificate(block));
}
