/**
 * The evidence as an in-toto statement in a DSSE envelope (https://github.com/secure-systems-lab/dsse), signed by a key
 * that the cluster's intermediate certifies for documents of this cluster and for nothing else: whoever knows the
 * fingerprint of the organization's root can check it years later, without anybody's help.
 */
import { createPrivateKey, sign, verify, X509Certificate } from "node:crypto";
import { clusterUri } from "@biplane/identity";
import { fingerprint } from "@biplane/kit/certificates";
import { judgeChain } from "@biplane/kit/signed-documents";
import type { TlsIdentity } from "@biplane/kit/tls";
import { z } from "zod";

export const payloadType = "application/vnd.in-toto+json";
export const predicateType = "https://biplane.dev/attestation/verify/v1";

const claimSchema = z.object({
  id: z.string(),
  text: z.string(),
  status: z.enum(["pass", "fail", "not-applicable"]),
  reason: z.string(),
  evidence: z.array(z.string()),
});
const controlSchema = z.object({
  id: z.string(),
  caught: z.boolean(),
  reason: z.string(),
  evidence: z.array(z.string()),
});

export const statementSchema = z.object({
  _type: z.literal("https://in-toto.io/Statement/v1"),
  subject: z.array(z.object({ name: z.string(), digest: z.object({ sha256: z.string() }) })),
  predicateType: z.literal(predicateType),
  predicate: z.object({
    org: z.string(),
    cluster: z.string(),
    router: z.string(),
    startedAt: z.string(),
    endedAt: z.string(),
    claims: z.array(claimSchema),
    controls: z.array(controlSchema),
  }),
});
export type Statement = z.infer<typeof statementSchema>;

const envelopeSchema = z.object({
  payloadType: z.literal(payloadType),
  payload: z.base64(),
  /** `x5c`: the signer's certificates up to the root, DER in base64. */
  signatures: z.tuple([
    z.object({ keyid: z.string(), sig: z.base64(), x5c: z.array(z.base64()).min(2).max(5) }),
  ]),
});
export type Envelope = z.infer<typeof envelopeSchema>;

/** `chainPem`: the signer's certificate, its issuers, and the root at the end. */
export function seal(statement: Statement, signer: TlsIdentity, chainPem: string): Envelope {
  const payload = Buffer.from(JSON.stringify(statement));
  const chain = certificatesOf(chainPem);
  const sig = sign(null, preAuthentication(payload), createPrivateKey(signer.privateKeyPem)).toString(
    "base64",
  );
  const x5c = chain.map((one) => one.raw.toString("base64"));
  return {
    payloadType,
    payload: payload.toString("base64"),
    signatures: [{ keyid: fingerprint(chain[0]!.raw), sig, x5c }],
  };
}

export type Opened =
  | { readonly kind: "genuine"; readonly statement: Statement; readonly rootFingerprint: string }
  | { readonly kind: "refused"; readonly why: string };

export function openEnvelope(content: unknown): Opened {
  const parsed = envelopeSchema.safeParse(content);
  if (!parsed.success) return { kind: "refused", why: "It is no signed evidence report." };
  const { payload, signatures } = parsed.data;
  const bytes = Buffer.from(payload, "base64");
  const [{ sig, x5c }] = signatures;
  try {
    const chain = x5c.map((one) => new X509Certificate(Buffer.from(one, "base64")));
    const [signer, root] = [chain[0]!, chain.at(-1)!];
    if (!verify(null, preAuthentication(bytes), signer.publicKey, Buffer.from(sig, "base64"))) {
      return {
        kind: "refused",
        why: "The signature is not of this content: it was changed after it was signed.",
      };
    }
    const statement = statementSchema.parse(JSON.parse(bytes.toString()));
    const { org, cluster, endedAt } = statement.predicate;
    // Judged as of the day when it was signed: certificates end, evidence is kept.
    const trust = {
      rootPem: root.toString(),
      signerUri: clusterUri(org, cluster),
      nowMs: Date.parse(endedAt),
    };
    const refusal = judgeChain(chain.slice(0, -1), trust);
    if (refusal !== undefined)
      return { kind: "refused", why: `Its signer is not to be believed (${refusal}).` };
    return { kind: "genuine", statement, rootFingerprint: fingerprint(root.raw) };
  } catch {
    return { kind: "refused", why: "It can't be read: certificates or content are damaged." };
  }
}

/** DSSE's pre-authentication encoding: what is signed says what it is. */
function preAuthentication(payload: Buffer): Buffer {
  const head = `DSSEv1 ${payloadType.length} ${payloadType} ${payload.length} `;
  return Buffer.concat([Buffer.from(head), payload]);
}

function certificatesOf(pem: string): X509Certificate[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  return blocks.map((block) => new X509Certificate(block));
}
