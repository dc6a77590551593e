/** Signed documents over the links: what home sends up is judged, kept, and pushed to every cluster at once. */
import { createHash } from "node:crypto";
import {
  documentKindNames,
  nameOfDocumentKind,
  type SignedDocument,
  SignedDocumentSchema,
} from "@biplane/control-wire";
import { documentKinds } from "@biplane/identity";
import type { Logger } from "@biplane/kit";
import { create } from "@bufbuild/protobuf";
import type { ClusterPeer } from "../clusters/peer.ts";
import type { LinkSessions } from "../clusters/sessions.ts";
import type { KeptDocument, SignedDocuments } from "../documents/documents.ts";

export interface Fingerprints {
  readonly root: Uint8Array;
  /** By cluster. */
  readonly intermediates: ReadonlyMap<string, Uint8Array>;
}

export class DocumentExchange {
  readonly #documents: SignedDocuments;
  readonly #sessions: LinkSessions;
  readonly #log: Logger;

  constructor(documents: SignedDocuments, sessions: LinkSessions, log: Logger) {
    this.#documents = documents;
    this.#sessions = sessions;
    this.#log = log;
  }

  /** What people compare with what they know of their own organization. */
  async fingerprints(org: string): Promise<Fingerprints> {
    const root = await this.#documents.pinnedRoot(org);
    const list = await this.#documents.newest(org, "clusters");
    const entries = list?.document.content.clusters ?? [];
    return {
      root: root === undefined ? new Uint8Array() : sha256(root),
      intermediates: new Map(
        entries.map(({ name, fingerprint }) => [name, new Uint8Array(Buffer.from(fingerprint, "hex"))]),
      ),
    };
  }

  /** The newest of each kind, for a cluster that has just connected. */
  async newest(org: string): Promise<SignedDocument[]> {
    const kept = await Promise.all(documentKinds.map((kind) => this.#documents.newest(org, kind)));
    return kept.flatMap((one) => (one === undefined ? [] : [toWire(one)]));
  }

  /** A refusal does not end the link: what is kept is sent back, so that the sender knows what others believe. */
  async take({ org, cluster }: ClusterPeer, { kind, jws }: SignedDocument): Promise<void> {
    const name = nameOfDocumentKind(kind);
    if (name === undefined) return;
    const accepted = await this.#documents.accept(org, name, jws);
    if (accepted.kind === "accepted") return this.#push(org, accepted.kept);
    if (accepted.kind === "unchanged") return;
    const fields = { event: "document_refused", org, cluster, kind: name, reason: accepted.reason };
    this.#log.warn(fields, "a document was refused");
    const kept = await this.#documents.newest(org, name);
    if (kept !== undefined) this.#sessions.find(org, cluster)?.sendDocument(toWire(kept));
  }

  #push(org: string, kept: KeptDocument): void {
    const document = toWire(kept);
    for (const link of this.#sessions.of(org)) link.sendDocument(document);
  }
}

function sha256(content: Uint8Array): Uint8Array {
  return new Uint8Array(createHash("sha256").update(content).digest());
}

function toWire({ kind, jws }: KeptDocument): SignedDocument {
  return create(SignedDocumentSchema, { kind: documentKindNames[kind], jws });
}
