/** An authority below another one, key and all, for tests of those who verify chains. */
import { createCertificateRequest, signIntermediateRequest } from "@biplane/kit/certificates";
import type { TlsIdentity } from "@biplane/kit/tls";

export async function createIntermediate(
  issuer: TlsIdentity,
  commonName: string,
  lifetimeMs: number,
  uris: readonly string[],
): Promise<TlsIdentity> {
  const { requestDer, privateKeyPem } = await createCertificateRequest(commonName);
  const certificatePem = await signIntermediateRequest(issuer, requestDer, { commonName, lifetimeMs, uris });
  return { certificatePem, privateKeyPem };
}
