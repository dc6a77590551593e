/**
 * What organizations' authorities signed, kept and passed on. The control plane believes the root that was pinned at
 * enrollment, and the one that it signed for after that; it can carry such documents, withhold them, and make none (claim
 * TRUST-1).
 */
import { createHash, X509Certificate } from "node:crypto";
import { second } from "@biplane/base";
import {
  type DocumentContents,
  type DocumentKind,
  type ListedRoot,
  rootUriPrefix,
  type SignedContent,
  verifyDocument,
} from "@biplane/identity";
import { type Clock, judgeSuccessor, openDocument } from "@biplane/kit";
import { eventOf } from "@biplane/kit/audit-log";
import type { AuditLogs } from "../audit/audit.ts";
import type { ControlTransaction, Store } from "../store/open.ts";

export interface KeptDocument<K extends DocumentKind = DocumentKind> {
  readonly kind: K;
  readonly jws: string;
  readonly document: SignedContent<DocumentContents[K]>;
}

export type Accepted =
  | { readonly kind: "accepted"; readonly kept: KeptDocument }
  | { readonly kind: "unchanged" }
  | { readonly kind: "refused"; readonly reason: string };

/** Of organizations in memory; the one that was asked for longest ago goes first. */
const keptMax = 1_000;

export class SignedDocuments {
  readonly #store: Store;
  readonly #audit: Pick<AuditLogs, "of">;
  readonly #clock: Clock;
  readonly #kept = new Map<string, KeptDocument | undefined>();
  /** Who waits for a document, by organization and kind. */
  readonly #waiting = new Map<string, Set<() => void>>();

  constructor(store: Store, audit: Pick<AuditLogs, "of">, clock: Clock) {
    this.#store = store;
    this.#audit = audit;
    this.#clock = clock;
  }

  /** Keeps a document that the pinned root vouches for and that is newer than what is kept. */
  async accept(org: string, kind: DocumentKind, jws: string): Promise<Accepted> {
    const accepted = await this.#store.asOrg(org, (transaction) => this.#judge(transaction, org, kind, jws));
    if (accepted.kind === "accepted") {
      this.#remember(org, kind, accepted.kept);
      for (const wake of this.#waiting.get(`${org} ${kind}`) ?? []) wake();
    }
    return accepted;
  }

  /** Resolves when the next document of the kind has come, or after `waitMs`. */
  async accepted(org: string, kind: DocumentKind, waitMs: number): Promise<void> {
    const key = `${org} ${kind}`;
    const waiting = this.#waiting.get(key) ?? new Set();
    this.#waiting.set(key, waiting);
    const { promise, resolve } = Promise.withResolvers<void>();
    waiting.add(resolve);
    const timer = setTimeout(resolve, waitMs);
    await promise;
    clearTimeout(timer);
    waiting.delete(resolve);
    if (waiting.size === 0) this.#waiting.delete(key);
  }

  async #judge(
    transaction: ControlTransaction,
    org: string,
    kind: DocumentKind,
    jws: string,
  ): Promise<Accepted> {
    const rootPem = await this.#pinnedRoot(transaction, org);
    if (rootPem === undefined) return { kind: "refused", reason: "no_root" };
    const held = await this.#read(transaction, org, kind, rootPem);
    const outcome = await this.#verify(org, kind, jws, rootPem, held?.document);
    if (outcome.kind === "unchanged") return { kind: "unchanged" };
    if (outcome.kind !== "accepted") return { kind: "refused", reason: outcome.kind };
    const kept: KeptDocument = { kind, jws, document: outcome.document };
    const listed = kind === "clusters" ? (kept as KeptDocument<"clusters">).document.content.root : undefined;
    const refusal = listed && (await this.#followRoot(transaction, org, rootPem, listed));
    if (refusal !== undefined) return { kind: "refused", reason: refusal };
    await this.#write(transaction, org, kept);
    return { kind: "accepted", kept };
  }

  /** Pins the root that the pinned one signed for; the list's own signer may be one of its intermediates only. */
  async #followRoot(
    transaction: ControlTransaction,
    org: string,
    pinnedPem: string,
    listed: ListedRoot,
  ): Promise<string | undefined> {
    const outcome = judgeSuccessor(pinnedPem, listed, rootUriPrefix(org), this.#clock.now());
    if (outcome.kind === "same") return undefined;
    if (outcome.kind !== "successor") return outcome.kind;
    const { raw } = new X509Certificate(outcome.rootPem);
    const requestId = createHash("sha256").update(raw).digest("hex");
    await (await this.#audit.of(org)).record(eventOf("ROOT_FOLLOWED", { requestId }));
    await transaction
      .updateTable("organization")
      .set({ root_certificate: new Uint8Array(raw) })
      .where("org_id", "=", org)
      .execute();
    return undefined;
  }

  /** Whether this is the root whose place the pinned one took. DER. */
  async isReplaced(org: string, root: Uint8Array): Promise<boolean> {
    const listed = (await this.newest(org, "clusters"))?.document.content.root;
    if (listed === undefined) return false;
    try {
      const cross = new X509Certificate(Buffer.from(listed.cross, "base64"));
      return cross.verify(new X509Certificate(root).publicKey);
    } catch {
      return false;
    }
  }

  /** The newest that is kept, in date or not. */
  async newest<K extends DocumentKind>(org: string, kind: K): Promise<KeptDocument<K> | undefined> {
    const key = `${org} ${kind}`;
    if (!this.#kept.has(key)) {
      const kept = await this.#store.asOrg(org, async (transaction) => {
        const rootPem = await this.#pinnedRoot(transaction, org);
        return rootPem === undefined ? undefined : this.#read(transaction, org, kind, rootPem);
      });
      // Nothing is not remembered: it may come at any moment.
      if (kept === undefined) return undefined;
      if (!this.#kept.has(key)) this.#remember(org, kind, kept as KeptDocument);
    }
    return this.#kept.get(key) as KeptDocument<K> | undefined;
  }

  /** DER, or undefined for an organization that has not enrolled yet. */
  async pinnedRoot(org: string): Promise<Uint8Array | undefined> {
    const pem = await this.#store.asOrg(org, (transaction) => this.#pinnedRoot(transaction, org));
    return pem === undefined ? undefined : new Uint8Array(new X509Certificate(pem).raw);
  }

  #remember(org: string, kind: DocumentKind, kept: KeptDocument): void {
    const key = `${org} ${kind}`;
    const before = this.#kept.get(key)?.document.head;
    const { version, issuedAt } = kept.document.head;
    // Of two at once the later commit holds, whichever is remembered last.
    if (before !== undefined && (before.version - version || before.issuedAt - issuedAt) > 0) return;
    this.#kept.delete(key);
    this.#kept.set(key, kept);
    if (this.#kept.size > keptMax) this.#kept.delete(this.#kept.keys().next().value!);
  }

  async #pinnedRoot(transaction: ControlTransaction, org: string): Promise<string | undefined> {
    const row = await transaction
      .selectFrom("organization")
      .select("root_certificate")
      .where("org_id", "=", org)
      .executeTakeFirst();
    if (row?.root_certificate == null) return undefined;
    return new X509Certificate(row.root_certificate).toString();
  }

  async #read<K extends DocumentKind>(
    transaction: ControlTransaction,
    org: string,
    kind: K,
    rootPem: string,
  ): Promise<KeptDocument<K> | undefined> {
    const row = await transaction
      .selectFrom("signed_document")
      .select("jws_sealed")
      .where((where) => where.and({ org_id: org, kind }))
      .forUpdate()
      .executeTakeFirst();
    if (row === undefined) return undefined;
    const jws = this.#store.open(placeOf(org, kind), row.jws_sealed);
    const outcome = await this.#verify(org, kind, jws, rootPem, undefined);
    if (outcome.kind !== "accepted" && outcome.kind !== "expired") return undefined;
    return { kind, jws, document: outcome.document };
  }

  async #write(transaction: ControlTransaction, org: string, { kind, jws, document }: KeptDocument) {
    const values = {
      version: document.head.version,
      expires_at: document.head.expiresAt * second,
      jws_sealed: this.#store.seal(placeOf(org, kind), jws),
    };
    await transaction
      .insertInto("signed_document")
      .values({ org_id: org, kind, ...values })
      .onConflict((conflict) => conflict.columns(["org_id", "kind"]).doUpdateSet(values))
      .execute();
  }

  #verify<K extends DocumentKind>(
    org: string,
    kind: K,
    jws: string,
    rootPem: string,
    held: SignedContent<DocumentContents[K]> | undefined,
  ) {
    const nowSeconds = Math.floor(this.#clock.now() / second);
    return verifyDocument(openDocument, kind, jws, rootPem, { org, nowSeconds, held });
  }
}

function placeOf(org: string, kind: DocumentKind) {
  return { org, table: "signed_document", column: "jws", key: [kind] } as const;
}
