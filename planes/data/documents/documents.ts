/**
 * The newest signed documents of the organization in this cluster. At home they are made here and signed again before
 * they expire; elsewhere they come over the link and are believed for what the root vouches for (claims TRUST-1, IAM-3).
 */
import type { AuditCode } from "@biplane/audit";
import { type OrgId, second } from "@biplane/base";
import {
  type ClusterListContent,
  type DocumentContents,
  type DocumentHead,
  type DocumentKind,
  type DocumentOutcome,
  documentKinds,
  isSameContent,
  type SignedContent,
  verifyDocument,
} from "@biplane/identity";
import { type AuditLog, eventOf } from "@biplane/kit/audit-log";
import type { Clock } from "@biplane/kit/clock";
import type { Database } from "@biplane/kit/database";
import type { Logger } from "@biplane/kit/logging";
import { openDocument } from "@biplane/kit/signed-documents";
import type { Transaction } from "kysely";
import type { DocumentSigner } from "../identity/document-signer.ts";
import type { Sealing } from "../identity/sealing.ts";
import type { DataSchema } from "../store/schema.ts";

type Transacting = Transaction<DataSchema>;
export type Listener = (kind: DocumentKind, jws: string) => void;

export interface DocumentsOptions {
  readonly org: OrgId;
  /** Asked for with each document, since another one may take its place. */
  readonly rootPem: string;
  /** The root before: for what is kept already. What comes is not believed for its sake. */
  readonly predecessorPem?: string | undefined;
  readonly database: Database<DataSchema>;
  readonly sealing: Sealing;
  readonly audit: Pick<AuditLog, "record">;
  /** For documents that are refused: a control plane can't fill the log with them. */
  readonly refusals: Pick<AuditLog, "record">;
  /** In the home cluster only. */
  readonly signer: DocumentSigner | undefined;
  readonly lifetimeMs: number;
  readonly clock: Clock;
  readonly log: Logger;
}

interface Held<K extends DocumentKind = DocumentKind> {
  readonly jws: string;
  readonly document: SignedContent<DocumentContents[K]>;
}
type HeldByKind = { [K in DocumentKind]?: Held<K> };

/** What was signed in a transaction; it counts once that has committed. */
export interface Issued {
  readonly jws: string;
  announce(): void;
}

const retryMs = second;
/** Timers know nothing of a clock that was set forward, or of a machine that slept: who waits for an end looks at least so often. */
const endCheckMs = second;
const table = "signed_documents";

export class Documents {
  readonly #options: DocumentsOptions;
  readonly #held: HeldByKind = {};
  /** At home: the newest of what was signed here that came back over the link. */
  readonly #returned: { [K in DocumentKind]?: SignedContent<DocumentContents[K]> } = {};
  readonly #listeners = new Set<Listener>();
  readonly #watchers = new Set<(kind: DocumentKind) => void>();
  /** Away from home: when each kind will have expired. */
  readonly #expiries = new Map<DocumentKind, NodeJS.Timeout>();
  #timer: NodeJS.Timeout | undefined;
  #adopt = async ({ head }: SignedContent<ClusterListContent>) => this.#goBeyond("clusters", head.version);
  #signing: Promise<void> = Promise.resolve();

  private constructor(options: DocumentsOptions) {
    this.#options = options;
  }

  static async open(options: DocumentsOptions): Promise<Documents> {
    const documents = new Documents(options);
    const { database, org } = options;
    await database.asOrg(org, async (transaction) => {
      for (const kind of documentKinds) {
        const held = await documents.#read(transaction, kind);
        if (held !== undefined) documents.#keep(kind, held);
      }
    });
    if (options.signer !== undefined) await documents.#signOrRetry();
    return documents;
  }

  get isHome(): boolean {
    return this.#options.signer !== undefined;
  }

  /** The newest that is known, in date or not. */
  newest<K extends DocumentKind>(kind: K): SignedContent<DocumentContents[K]> | undefined {
    return this.#held[kind]?.document;
  }

  /** The same as it was signed. */
  text(kind: DocumentKind): string | undefined {
    return this.#held[kind]?.jws;
  }

  /** The same, as it was signed. */
  signed<K extends DocumentKind>(kind: K): Held<K> | undefined {
    return this.#held[kind] as Held<K> | undefined;
  }

  /** The newest that is in date; what is made here always is. */
  current<K extends DocumentKind>(kind: K): SignedContent<DocumentContents[K]> | undefined {
    const document = this.newest(kind);
    if (document === undefined || this.isHome) return document;
    return document.head.expiresAt * second > this.#options.clock.now() ? document : undefined;
  }

  /** At home: what the link has to bring up. */
  own(): { kind: DocumentKind; jws: string }[] {
    if (!this.isHome) return [];
    return documentKinds.flatMap((kind) => {
      const held = this.#held[kind];
      return held === undefined ? [] : [{ kind, jws: held.jws }];
    });
  }

  /** Told of each document that is made here. Returns how to stop that. */
  onIssued(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Told when another one of the kind is current, or none any more. Returns how to stop that. */
  onCurrent(wanted: DocumentKind, listener: () => void): () => void {
    const watcher = (kind: DocumentKind) => {
      if (kind === wanted) listener();
    };
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }

  /** Signs a content, under a new version where it differs from the newest one's. */
  async issue<K extends DocumentKind>(
    transaction: Transacting,
    kind: K,
    content: DocumentContents[K],
    versionsSeen = 0,
  ): Promise<Issued> {
    const { signer, org, clock, lifetimeMs } = this.#options;
    if (signer === undefined) throw new Error("Documents are made in the home cluster only.");
    const before = (await this.#read(transaction, kind))?.document;
    const isSame = before !== undefined && isSameContent(before.content, content) && versionsSeen === 0;
    const version = Math.max(versionsSeen, before?.head.version ?? 0) + (isSame ? 0 : 1);
    const issuedAt = Math.floor(clock.now() / second);
    const expiresAt = issuedAt + Math.ceil(lifetimeMs / second);
    const document = { head: { org, version, issuedAt, expiresAt }, content };
    const held = { jws: await signer.sign(kind, document), document };
    await this.#write(transaction, kind, held.jws);
    return { jws: held.jws, announce: () => this.#announce(kind, held as unknown as Held) };
  }

  /** A document from the link. Resolves once it is on disk, or on record as refused. */
  async receive(kind: DocumentKind, jws: string): Promise<void> {
    const held = this.newest(kind);
    const outcome = await this.#verify(kind, jws, held);
    if (this.isHome) {
      if (isAhead(outcome, held?.head)) {
        if (kind === "clusters") return this.#adopt(outcome.document as SignedContent<ClusterListContent>);
        return this.#goBeyond(kind, outcome.document.head.version);
      }
      // A control plane gives what it has had last, which is older than what was signed here since.
      if (outcome.kind === "rolled_back" && !(await this.#isBehind(kind, jws))) return;
      if (outcome.kind === "unknown_authority" && (await this.#isFromBefore(kind, jws))) return;
    }
    if (outcome.kind === "unchanged") {
      this.#returned[kind] = outcome.document as never;
      return;
    }
    if (outcome.kind !== "accepted") return this.#record("DOCUMENT_REFUSED", outcome.kind, kind);
    await this.#options.database.asOrg(this.#options.org, (transaction) =>
      this.#write(transaction, kind, jws),
    );
    this.#keep(kind, { jws, document: outcome.document });
    if (held?.head.version !== outcome.document.head.version) {
      await this.#record("DOCUMENT_ACCEPTED", undefined, kind);
    }
  }

  /** Whether the control plane had given a newer one: then it went back, which nothing honest does (claim TRUST-3). */
  async #isBehind(kind: DocumentKind, jws: string): Promise<boolean> {
    const returned = this.#returned[kind];
    return returned !== undefined && (await this.#verify(kind, jws, returned)).kind === "rolled_back";
  }

  /** What this cluster signed before its root was replaced comes back once more from a control plane that is behind. */
  async #isFromBefore(kind: DocumentKind, jws: string): Promise<boolean> {
    const outcome = await this.#verifyKept(kind, jws, this.newest(kind));
    return outcome.kind === "rolled_back" || outcome.kind === "unchanged";
  }

  /** At home: takes back what an earlier copy of this cluster signed, and this one does not know. */
  onLostClusters(adopt: (list: SignedContent<ClusterListContent>) => Promise<void>): void {
    this.#adopt = adopt;
  }

  /** At home, where another key or root signs from now on: the policy before the list, which tells of the root. */
  async signAgain(): Promise<void> {
    for (const kind of documentKinds) {
      const held = this.newest(kind);
      if (held !== undefined) await this.#issueAgain(kind, held.content);
    }
  }

  async close(): Promise<void> {
    clearTimeout(this.#timer);
    for (const timer of this.#expiries.values()) clearTimeout(timer);
    this.#listeners.clear();
    this.#watchers.clear();
    await this.#signing;
  }

  /** This cluster was restored from a copy that did not know what it had signed: others hold that, and believe more only. */
  async #goBeyond(kind: DocumentKind, version: number): Promise<void> {
    const held = this.newest(kind);
    if (held === undefined) return;
    await this.#issueAgain(kind, held.content, version);
  }

  async #issueAgain<K extends DocumentKind>(
    kind: K,
    content: DocumentContents[K],
    versionsSeen = 0,
  ): Promise<void> {
    const { database, org } = this.#options;
    const issued = await database.asOrg(org, async (transaction) => {
      // What a change that is under way has made of it meanwhile, not what was in memory before.
      const latest = (await this.#read(transaction, kind))?.document.content ?? content;
      return this.issue(transaction, kind, latest, versionsSeen);
    });
    issued.announce();
  }

  #announce(kind: DocumentKind, held: Held): void {
    this.#keep(kind, held);
    this.#schedule(this.#options.lifetimeMs / 2);
    for (const listener of this.#listeners) listener(kind, held.jws);
  }

  /** Commits may be announced in another order than theirs. */
  #keep(kind: DocumentKind, held: Held): void {
    const before = this.#held[kind]?.document.head;
    if (before !== undefined && isOlder(held.document.head, before)) return;
    this.#held[kind] = held as never;
    for (const tell of this.#watchers) tell(kind);
    if (!this.isHome) this.#tellOfEnd(kind, held.document.head.expiresAt * second);
  }

  #tellOfEnd(kind: DocumentKind, endsAtMs: number): void {
    const tell = () => {
      // A timer may be early, and the clock may have been set back: it has ended when the clock says so.
      if (this.#options.clock.now() < endsAtMs) return this.#tellOfEnd(kind, endsAtMs);
      for (const watcher of this.#watchers) watcher(kind);
    };
    clearTimeout(this.#expiries.get(kind));
    const delayMs = Math.min(Math.max(endsAtMs - this.#options.clock.now(), 0), endCheckMs);
    this.#expiries.set(kind, setTimeout(tell, delayMs).unref());
  }

  #schedule(delayMs: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#signing = this.#signOrRetry();
    }, delayMs).unref();
  }

  async #signOrRetry(): Promise<void> {
    try {
      await this.signAgain();
    } catch (error) {
      this.#options.log.error({ event: "signing_failed", error }, "a document could not be signed again");
      this.#schedule(retryMs);
    }
  }

  /** What is stored was verified before it was; here its time alone may have passed. */
  async #read<K extends DocumentKind>(transaction: Transacting, kind: K): Promise<Held<K> | undefined> {
    const { org, sealing } = this.#options;
    const row = await transaction
      .selectFrom(table)
      .select("jws")
      .where((where) => where.and({ org_id: org, kind }))
      .forUpdate()
      .executeTakeFirst();
    if (row === undefined) return undefined;
    const jws = Buffer.from(sealing.openBytes(table, "jws", kind, row.jws)).toString();
    const outcome = await this.#verifyKept(kind, jws, undefined);
    if (outcome.kind === "accepted" || outcome.kind === "expired") return { jws, document: outcome.document };
    this.#options.log.error(
      { event: "document_unfit", kind, reason: outcome.kind },
      "a kept document is unfit",
    );
    return undefined;
  }

  async #write(transaction: Transacting, kind: DocumentKind, text: string): Promise<void> {
    const { org, sealing } = this.#options;
    const jws = sealing.sealBytes(table, "jws", kind, Buffer.from(text));
    await transaction
      .insertInto(table)
      .values({ org_id: org, kind, jws })
      .onConflict((conflict) => conflict.columns(["org_id", "kind"]).doUpdateSet({ jws }))
      .execute();
  }

  async #verifyKept<K extends DocumentKind>(
    kind: K,
    jws: string,
    held: SignedContent<DocumentContents[K]> | undefined,
  ) {
    const outcome = await this.#verify(kind, jws, held);
    const { predecessorPem } = this.#options;
    if (outcome.kind !== "unknown_authority" || predecessorPem === undefined) return outcome;
    return this.#verify(kind, jws, held, predecessorPem);
  }

  #verify<K extends DocumentKind>(
    kind: K,
    jws: string,
    held: SignedContent<DocumentContents[K]> | undefined,
    rootPem = this.#options.rootPem,
  ) {
    const { org, clock } = this.#options;
    const nowSeconds = Math.floor(clock.now() / second);
    return verifyDocument(openDocument, kind, jws, rootPem, { org, nowSeconds, held });
  }

  async #record(code: AuditCode, reason: string | undefined, kind: DocumentKind): Promise<void> {
    const { audit, refusals, log } = this.#options;
    log.info({ event: code.toLowerCase(), kind, reason: reason ?? "" }, "a document came over the link");
    await (reason === undefined ? audit : refusals).record(
      eventOf(code, {
        decision: reason === undefined ? "allowed" : "refused",
        method: "biplane.control.v1.LinkService/Connect",
        requestId: kind,
        ...(reason === undefined ? {} : { reason: `document_${reason}` }),
      }),
    );
  }
}

/**
 * Whether this plane's own signature has come back and says more than this plane knows. It may be out of date by then: a
 * home cluster that is made again after days would be believed by nobody if it did not go beyond that.
 */
function isAhead<T, R extends string>(
  outcome: DocumentOutcome<T> | { readonly kind: R },
  held: DocumentHead | undefined,
): outcome is Extract<DocumentOutcome<T>, { document: unknown }> {
  if (outcome.kind === "accepted" || outcome.kind === "forked") return true;
  return (
    outcome.kind === "expired" && held !== undefined && isOlder(held, (outcome as Expired<T>).document.head)
  );
}

type Expired<T> = Extract<DocumentOutcome<T>, { kind: "expired" }>;

function isOlder(left: DocumentHead, right: DocumentHead): boolean {
  return left.version === right.version ? left.issuedAt < right.issuedAt : left.version < right.version;
}
