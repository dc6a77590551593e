/**
 * The key that signs what the organization's authority says: made here, sealed at rest, certified by this cluster's
 * intermediate for documents and for nothing else. Renewed long before its certificate ends.
 */
import { X509Certificate } from "node:crypto";
import { day } from "@biplane/base";
import {
  authorityUri,
  type DocumentKind,
  documentPayload,
  documentTypes,
  type SignedContent,
} from "@biplane/identity";
import { issueDocumentSigner } from "@biplane/kit/certificates";
import type { Clock } from "@biplane/kit/clock";
import { deriveKey, type Key, openRecord, sealRecord } from "@biplane/kit/crypto";
import { readFileIfAny, writeFileDurably } from "@biplane/kit/files";
import { signDocument } from "@biplane/kit/signed-documents";
import type { TlsIdentity } from "@biplane/kit/tls";

const place = "document signing key";
const lifetimeMs = 90 * day;
const renewBeforeMs = 30 * day;

export interface SignerOptions {
  readonly path: string;
  readonly systemKey: Key;
  readonly org: string;
  /** This cluster's own, below the organization's root; asked for at each signature. */
  readonly intermediate: TlsIdentity;
  readonly clock: Clock;
}

export class DocumentSigner {
  readonly #options: SignerOptions;
  #identity: TlsIdentity;

  private constructor(options: SignerOptions, identity: TlsIdentity) {
    this.#options = options;
    this.#identity = identity;
  }

  static async open(options: SignerOptions): Promise<DocumentSigner> {
    const key = deriveKey(options.systemKey, place);
    const sealed = await readFileIfAny(options.path);
    if (sealed === undefined) return new DocumentSigner(options, await make(options));
    const identity = JSON.parse(
      new TextDecoder().decode(openRecord(key, place, new Uint8Array(sealed))),
    ) as TlsIdentity;
    return new DocumentSigner(options, identity);
  }

  /** A compact JWS. */
  async sign<T extends object>(kind: DocumentKind, document: SignedContent<T>): Promise<string> {
    // Once: another one may take its place meanwhile.
    const { intermediate } = this.#options;
    if (this.#isDue(intermediate)) this.#identity = await make({ ...this.#options, intermediate });
    const { certificatePem, privateKeyPem } = this.#identity;
    const chain = `${certificatePem.trim()}\n${intermediate.certificatePem}`;
    const signer = { certificatePem: chain, privateKeyPem };
    return signDocument(documentPayload(document), documentTypes[kind], signer);
  }

  /** Also where the intermediate is another one by now. */
  #isDue(intermediate: TlsIdentity): boolean {
    const certificate = new X509Certificate(this.#identity.certificatePem);
    const issuer = new X509Certificate(intermediate.certificatePem);
    const leftMs = certificate.validToDate.getTime() - this.#options.clock.now();
    return leftMs < renewBeforeMs || !certificate.verify(issuer.publicKey);
  }
}

async function make({ path, systemKey, org, intermediate }: SignerOptions): Promise<TlsIdentity> {
  const identity = await issueDocumentSigner(intermediate, {
    commonName: `Biplane authority of ${org}`,
    uri: authorityUri(org),
    lifetimeMs,
  });
  const bytes = new TextEncoder().encode(JSON.stringify(identity));
  await writeFileDurably(path, sealRecord(deriveKey(systemKey, place), place, bytes));
  return identity;
}
