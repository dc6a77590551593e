/** Proves to a control plane that this cluster has the organization's root above it. */
import { createHash, createPrivateKey, X509Certificate } from "node:crypto";
import { second } from "@biplane/base";
import { type EnrollmentStatement, enrollmentStatementType } from "@biplane/identity";
import type { TlsIdentity } from "@biplane/kit/tls";
import { CompactSign } from "jose";

export interface StatementParts {
  readonly org: string;
  readonly cluster: string;
  /** DER. */
  readonly providerRoot: Uint8Array;
  readonly codeProof: Uint8Array;
  readonly request: Uint8Array;
  readonly controlTokenKeys: string;
}

export function signEnrollmentStatement(
  parts: StatementParts,
  intermediate: TlsIdentity,
  nowMs: number,
): Promise<string> {
  const statement: EnrollmentStatement = {
    org: parts.org,
    cluster: parts.cluster,
    provider: hash(parts.providerRoot),
    code: Buffer.from(parts.codeProof).toString("base64url"),
    request: hash(parts.request),
    tokenKeys: hash(parts.controlTokenKeys),
    iat: Math.floor(nowMs / second),
  };
  const x5c = [new X509Certificate(intermediate.certificatePem).raw.toString("base64")];
  return new CompactSign(new TextEncoder().encode(JSON.stringify(statement)))
    .setProtectedHeader({ alg: "ES256", typ: enrollmentStatementType, x5c })
    .sign(createPrivateKey(intermediate.privateKeyPem));
}

function hash(content: Uint8Array | string): string {
  return createHash("sha256").update(content).digest("base64url");
}
