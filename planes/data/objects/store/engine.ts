/** What objects and uploads share: the catalog, the content, one lock per key, and care for content still being read. */
import { type Clock, deriveKey, type Key } from "@biplane/kit";
import type { ScopedKeys } from "../../keys/types.ts";
import type { Catalog } from "./catalog.ts";
import { CatalogLog } from "./catalog-log.ts";
import { ContentStore } from "./content.ts";
import { DiskSpace } from "./disk-space.ts";
import type { Content, ObjectEntry } from "./entries.ts";
import { KeyedLock } from "./keyed-lock.ts";

export interface EngineOptions {
  readonly folder: string;
  /** Protects the catalog: a system key. */
  readonly systemKey: Key;
  readonly contentKeys: ScopedKeys;
  readonly freeBytesMin: number;
  readonly clock: Clock;
  readonly snapshotEveryMin?: number;
}

/** Looking for waste goes through the packs, which is not worth it for each object. */
const discardsBetweenLooks = 1_000;

export class Engine {
  readonly log: CatalogLog;
  readonly content: ContentStore;
  readonly locks = new KeyedLock();
  readonly disk: DiskSpace;
  readonly clock: Clock;
  readonly #readers = new Map<ObjectEntry, number>();
  readonly #doomed = new Set<ObjectEntry>();
  #discards = 0;
  /** Called now and then, when content was removed and its space may be worth collecting. */
  onWaste: (() => void) | undefined;

  private constructor(options: EngineOptions, log: CatalogLog, content: ContentStore) {
    this.log = log;
    this.content = content;
    this.clock = options.clock;
    this.disk = new DiskSpace(options.folder, options.freeBytesMin, options.clock);
  }

  static async open(options: EngineOptions): Promise<Engine> {
    const log = await CatalogLog.open({
      folder: `${options.folder}/catalog`,
      key: deriveKey(options.systemKey, "object catalog"),
      ...(options.snapshotEveryMin === undefined ? {} : { snapshotEveryMin: options.snapshotEveryMin }),
    });
    const content = new ContentStore(options.folder, options.contentKeys);
    await content.start(log.catalog.contents());
    return new Engine(options, log, content);
  }

  get catalog(): Catalog {
    return this.log.catalog;
  }

  /** Keeps an entry's content on disk until `release`, even if the object is replaced or deleted meanwhile. */
  retain(entry: ObjectEntry): void {
    this.#readers.set(entry, (this.#readers.get(entry) ?? 0) + 1);
  }

  async release(entry: ObjectEntry): Promise<void> {
    const readers = (this.#readers.get(entry) ?? 1) - 1;
    if (readers > 0) {
      this.#readers.set(entry, readers);
      return;
    }
    this.#readers.delete(entry);
    if (this.#doomed.delete(entry)) await this.removeContent(entry.parts);
  }

  /** The entry is no longer in the catalog. */
  async discard(entry: ObjectEntry): Promise<void> {
    if (this.#readers.has(entry)) this.#doomed.add(entry);
    else await this.removeContent(entry.parts);
    this.#discards += 1;
    if (this.#discards % discardsBetweenLooks === 0) this.onWaste?.();
  }

  async removeContent(parts: readonly Content[]): Promise<void> {
    for (const part of parts) await this.content.remove(part);
  }

  async close(): Promise<void> {
    await this.log.close();
    await this.content.close();
  }
}
