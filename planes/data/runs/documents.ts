/** Documents through a bounded cache: a fan-out reads the same specification with every lease. */
import { BiplaneError, type Digest, MiB, type OrgId } from "@biplane/base";
import type { Database } from "@biplane/kit/database";
import { readDocument, readPresentDigests } from "../store/document-rows.ts";
import type { DataSchema } from "../store/schema.ts";
import type { Sealer } from "../store/sealing.ts";
import { GroupedReads } from "./grouped-reads.ts";

const cacheBytesMax = 64 * MiB;

export class Documents {
  readonly #database: Database<DataSchema>;
  readonly #sealer: Sealer;
  readonly #org: OrgId;
  /** Least recently used first. */
  readonly #cache = new Map<Digest, Uint8Array>();
  readonly #present: GroupedReads<Digest, true>;
  #cacheBytes = 0;

  constructor(database: Database<DataSchema>, sealer: Sealer, org: OrgId) {
    this.#database = database;
    this.#sealer = sealer;
    this.#org = org;
    this.#present = new GroupedReads((digests) =>
      database.asOrg(org, (transaction) => readPresentDigests(transaction, org, digests)),
    );
  }

  /** Whether it is on disk for certain; false where only the database knows. */
  isKnown(digest: Digest): boolean {
    return this.#cache.has(digest);
  }

  /** Called when the document has been committed. */
  remember(digest: Digest, content: Uint8Array): void {
    this.#cacheBytes += content.length - (this.#cache.get(digest)?.length ?? 0);
    this.#cache.delete(digest);
    this.#cache.set(digest, content);
    for (const [oldest, bytes] of this.#cache) {
      if (this.#cacheBytes <= cacheBytesMax) return;
      this.#cache.delete(oldest);
      this.#cacheBytes -= bytes.length;
    }
  }

  async read(digest: Digest): Promise<Uint8Array> {
    const known = this.#cache.get(digest);
    const content =
      known ??
      (await this.#database.asOrg(this.#org, (transaction) =>
        readDocument(transaction, this.#sealer, this.#org, digest),
      ));
    if (content === undefined) {
      throw new BiplaneError("not_found", "There is no document under this digest.", {
        reason: "document_missing",
      });
    }
    this.remember(digest, content);
    return content;
  }

  /** Asks the database, not the cache: what is executed has to be there after a restart too. */
  async arePresent(digests: readonly Digest[]): Promise<boolean> {
    const found = await Promise.all(digests.map((digest) => this.#present.get(digest)));
    return found.every((isPresent) => isPresent === true);
  }
}
