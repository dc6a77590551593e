/** Proves to a control plane that this cluster has the organization's root above it. */
import { createHash } from "node:crypto";
import { second } from "@biplane/base";
import { type EnrollmentStatement, enrollmentStatementType } from "@biplane/identity";
import { signStatement } from "@biplane/kit/cluster-statements";
import type { TlsIdentity } from "@biplane/kit/tls";

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
  return signStatement(statement, enrollmentStatementType, intermediate);
}

function hash(content: Uint8Array | string): string {
  return createHash("sha256").update(content).digest("base64url");
}
