/**
 * Checks that whoever enrolls has the organization's root, not just a code: the statement is signed by an intermediate
 * which that root issued for this very cluster, and binds everything that the enrollment is about.
 */
import { createHash, X509Certificate } from "node:crypto";
import { BiplaneError, second } from "@biplane/base";
import type { EnrollRequest } from "@biplane/control-wire";
import {
  clusterUri,
  type EnrollmentStatement,
  enrollmentStatementMs,
  enrollmentStatementType,
} from "@biplane/identity";
import { openStatement } from "@biplane/kit/cluster-statements";
import { z } from "zod";

const schema = z.strictObject({
  org: z.string(),
  cluster: z.string(),
  provider: z.string(),
  code: z.string(),
  request: z.string(),
  tokenKeys: z.string(),
  iat: z.number(),
});

/** Throws `permission_denied` for whatever the root does not stand behind. */
export async function verifyEnrollmentStatement(
  request: EnrollRequest,
  providerRootPem: string,
  nowMs: number,
): Promise<void> {
  const statement = await readStatement(request, nowMs);
  const expected: Omit<EnrollmentStatement, "iat"> = {
    org: request.org,
    cluster: request.cluster,
    provider: hash(new X509Certificate(providerRootPem).raw),
    code: Buffer.from(request.codeProof).toString("base64url"),
    request: hash(request.certificateRequest),
    tokenKeys: hash(request.controlTokenKeys),
  };
  for (const [name, value] of Object.entries(expected)) {
    if (statement[name as keyof typeof expected] !== value) throw refused(`It is about another ${name}.`);
  }
  if (Math.abs(nowMs - statement.iat * second) > enrollmentStatementMs) {
    throw refused("It was made at another time; the clocks of both sides may differ.");
  }
}

async function readStatement(request: EnrollRequest, nowMs: number): Promise<EnrollmentStatement> {
  const opened = await openStatement(request.statement, {
    type: enrollmentStatementType,
    root: request.organizationRoot,
    signerUri: clusterUri(request.org, request.cluster),
    nowMs,
  });
  if (opened.kind === "refused") throw refused(opened.why, opened.cause);
  const parsed = schema.safeParse(opened.payload);
  if (parsed.success) return parsed.data;
  throw refused("Its form is another one.", parsed.error);
}

function hash(content: Uint8Array | string): string {
  return createHash("sha256").update(content).digest("base64url");
}

function refused(why: string, cause?: unknown): BiplaneError {
  return new BiplaneError(
    "permission_denied",
    {
      what: "The enrollment is not signed under the organization's root.",
      why,
      next: "Enroll from the data plane whose organization the code was made for.",
    },
    { cause, reason: "enrollment_statement" },
  );
}
