/**
 * Documents through a bounded cache: a fan-out reads the same specification with every lease. Each is under its
 * project's key, and what the cache holds is given out only while that key is enabled (claim CMK-1).
 */
import { BiplaneError, type Digest, MiB, type OrgId } from "@biplane/base";
import type { Database } from "@biplane/kit/database";
import type { ProjectKey } from "../keys/types.ts";
import {
  documentName,
  documentPlace,
  type NewDocument,
  openDocument,
  readDocument,
  readPresentDocuments,
} from "../store/document-rows.ts";
import type { ProjectSealer } from "../store/project-sealing.ts";
import type { DataSchema } from "../store/schema.ts";
import { GroupedReads } from "./grouped-reads.ts";

const cacheBytesMax = 64 * MiB;

export class Documents {
  readonly #database: Database<DataSchema>;
  readonly #sealer: ProjectSealer;
  readonly #org: OrgId;
  /** Least recently used first. */
  readonly #cache = new Map<string, NewDocument>();
  readonly #present: GroupedReads<string, true>;
  #cacheBytes = 0;

  constructor(database: Database<DataSchema>, sealer: ProjectSealer, org: OrgId) {
    this.#database = database;
    this.#sealer = sealer;
    this.#org = org;
    this.#present = new GroupedReads((names) =>
      database.asOrg(org, (transaction) => readPresentDocuments(transaction, org, names)),
    );
  }

  /**
   * Whether it is on disk under this very key for certain. What was stored before the key was rotated is stored again
   * with the next run that needs it, which else would end with the old version of the key.
   */
  isKnown(key: ProjectKey, project: string, digest: Digest): boolean {
    const known = this.#cache.get(documentName(project, digest));
    return known !== undefined && this.#sealer.isUnder(key, known.sealed);
  }

  /** For new documents. Refused with reason `key_disabled`. */
  keyOf(project: string): Promise<ProjectKey> {
    return this.#sealer.keyOf(project);
  }

  seal(key: ProjectKey, project: string, digest: Digest, content: Uint8Array): NewDocument {
    const sealed = this.#sealer.seal(key, documentPlace(project, digest), content);
    return { project, digest, content, sealed };
  }

  /** Called when the document has been committed. */
  remember(document: NewDocument): void {
    const name = documentName(document.project, document.digest);
    this.#forget(name);
    this.#cache.set(name, document);
    this.#cacheBytes += document.content.length;
    for (const oldest of this.#cache.keys()) {
      if (this.#cacheBytes <= cacheBytesMax) return;
      this.#forget(oldest);
    }
  }

  async read(project: string, digest: Digest): Promise<Uint8Array> {
    const name = documentName(project, digest);
    const known = this.#cache.get(name);
    if (known !== undefined) return this.#readKnown(name, known);
    const sealed = await this.#database.asOrg(this.#org, (transaction) =>
      readDocument(transaction, this.#org, project, digest),
    );
    if (sealed === undefined) {
      throw new BiplaneError("not_found", "There is no document under this digest.", {
        reason: "document_missing",
      });
    }
    const content = await openDocument(this.#sealer, project, digest, sealed);
    this.remember({ project, digest, content, sealed });
    return content;
  }

  /** Asks the database, not the cache: what is executed has to be there after a restart too. */
  async arePresent(project: string, digests: readonly Digest[]): Promise<boolean> {
    const found = await Promise.all(
      digests.map((digest) => this.#present.get(documentName(project, digest))),
    );
    return found.every((isPresent) => isPresent === true);
  }

  async #readKnown(name: string, known: NewDocument): Promise<Uint8Array> {
    try {
      await this.#sealer.requireKey(known.sealed);
    } catch (error) {
      this.#forget(name);
      throw error;
    }
    // Read again: it is the newest now.
    if (this.#cache.delete(name)) this.#cache.set(name, known);
    return known.content;
  }

  #forget(name: string): void {
    this.#cacheBytes -= this.#cache.get(name)?.content.length ?? 0;
    this.#cache.delete(name);
  }
}
