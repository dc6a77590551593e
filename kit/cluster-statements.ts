/**
 * Statements that a cluster signs by its intermediate: what they say is said by whoever the organization's root calls
 * that cluster. Compact JWS with the intermediate in their header.
 */
import { createPrivateKey, X509Certificate } from "node:crypto";
import { CompactSign, compactVerify, decodeProtectedHeader } from "jose";
import { isIssuedByRoot, urisOf } from "./certificates.ts";
import type { TlsIdentity } from "./tls.ts";

const algorithm = "ES256";

export type OpenedStatement =
  | { readonly kind: "open"; readonly payload: unknown; readonly signer: X509Certificate }
  | { readonly kind: "refused"; readonly why: string; readonly cause?: unknown };

export interface StatementTrust {
  readonly type: string;
  /** DER. */
  readonly root: Uint8Array;
  /** What the signer has to bear as a name of its own. */
  readonly signerUri: string;
  readonly nowMs: number;
}

export function signStatement(content: object, type: string, intermediate: TlsIdentity): Promise<string> {
  const x5c = [new X509Certificate(intermediate.certificatePem).raw.toString("base64")];
  return new CompactSign(new TextEncoder().encode(JSON.stringify(content)))
    .setProtectedHeader({ alg: algorithm, typ: type, x5c })
    .sign(createPrivateKey(intermediate.privateKeyPem));
}

/** Never throws: a statement that is not believed has a reason. */
export async function openStatement(text: string, trust: StatementTrust): Promise<OpenedStatement> {
  const signer = signerOf(text, trust.type);
  if ("kind" in signer) return signer;
  const root = parseCertificate(trust.root);
  if ("kind" in root) return root;
  if (!isIssuedByRoot(signer, root, trust.nowMs)) {
    return refused("The organization's root did not issue its signer.");
  }
  if (!urisOf(signer).includes(trust.signerUri)) return refused("Its signer is another cluster.");
  try {
    const { payload } = await compactVerify(text, signer.publicKey, { algorithms: [algorithm] });
    return { kind: "open", payload: JSON.parse(new TextDecoder().decode(payload)), signer };
  } catch (cause) {
    return refused("Its signature is not right.", cause);
  }
}

type Refused = Extract<OpenedStatement, { kind: "refused" }>;

function signerOf(text: string, type: string): X509Certificate | Refused {
  try {
    const { typ, x5c = [] } = decodeProtectedHeader(text);
    const [certificate, ...others] = x5c;
    if (typ !== type || certificate === undefined || others.length > 0) {
      return refused("It is no such statement.");
    }
    return parseCertificate(Buffer.from(certificate, "base64"));
  } catch (cause) {
    return refused("It can't be read.", cause);
  }
}

function parseCertificate(der: Uint8Array): X509Certificate | Refused {
  try {
    return new X509Certificate(der);
  } catch (cause) {
    return refused("A certificate of it can't be read.", cause);
  }
}

function refused(why: string, cause?: unknown): Refused {
  return { kind: "refused", why, ...(cause === undefined ? {} : { cause }) };
}
