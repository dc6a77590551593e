/** An organization's authority for tests of those who believe it: signs what a home cluster would sign, and worse. */
import {
  authorityUri,
  type DocumentContents,
  type DocumentHead,
  type DocumentKind,
  documentTypes,
  type PolicyContent,
} from "@biplane/identity";
import { issueDocumentSigner } from "@biplane/kit/certificates";
import { signDocument } from "@biplane/kit/signed-documents";
import type { TlsIdentity } from "@biplane/kit/tls";
import { createIntermediate } from "./intermediate.ts";

const hour = 3_600_000;

export interface TestAuthority {
  sign<K extends DocumentKind>(
    kind: K,
    version: number,
    content: DocumentContents[K],
    head?: Partial<DocumentHead>,
  ): Promise<string>;
}

/** `crossPem`: the word of the root before for this one. */
export async function createAuthority(org: string, root: TlsIdentity, crossPem = ""): Promise<TestAuthority> {
  const uri = authorityUri(org);
  const intermediate = await createIntermediate(root, "home", hour, [uri]);
  const signer = await issueDocumentSigner(intermediate, { commonName: "authority", uri, lifetimeMs: hour });
  const certificatePem = `${signer.certificatePem.trim()}\n${intermediate.certificatePem}${crossPem}`;
  return {
    sign: (kind, version, content, head = {}) => {
      const issuedAt = Math.floor(Date.now() / 1_000);
      const payload = { org, version, issuedAt, expiresAt: issuedAt + 900, ...head, ...content };
      return signDocument(payload, documentTypes[kind], { ...signer, certificatePem });
    },
  };
}

/** A policy in which each of these has its role everywhere. */
export function policyFor(roles: Readonly<Record<string, string>>): PolicyContent {
  const assignments = Object.entries(roles).map(([id, role], index) => ({
    id: `a-${index}`,
    principal: { kind: "subject" as const, id },
    role,
    scope: {},
  }));
  return { roles: [], assignments, denied: [] };
}
