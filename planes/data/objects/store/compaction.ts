/** Gives the space of deleted small objects back: what is left in mostly empty packs moves to the present one. */
import type { Engine } from "./engine.ts";
import type { ObjectEntry } from "./entries.ts";

/** Fewer are not worth going through the catalog. */
const packsMin = 4;

export class Compaction {
  readonly #engine: Engine;
  #running: Promise<void> | undefined;
  #closed = false;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  /** Runs in the background where it is worth it; at most one at a time. */
  start(): void {
    if (this.#running !== undefined || this.#closed) return;
    const packs = new Set(this.#engine.content.wastefulPacks());
    if (packs.size < packsMin) return;
    this.#running = this.#compact(packs)
      // Nothing is lost by stopping half-way: each move is complete in itself. It is tried again later.
      .catch(() => undefined)
      .finally(() => {
        this.#running = undefined;
      });
  }

  /** Resolves when nothing is being moved. */
  async idle(): Promise<void> {
    await this.#running;
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#running;
  }

  async #compact(packs: ReadonlySet<string>): Promise<void> {
    let entry = this.#engine.catalog.next("", false);
    while (entry !== undefined && !this.#closed) {
      const place = entry.parts[0]?.place;
      if (place?.kind === "pack" && packs.has(place.pack)) await this.#move(entry);
      entry = this.#engine.catalog.next(entry.key, true);
    }
  }

  #move(entry: ObjectEntry): Promise<void> {
    return this.#engine.locks.run(entry.key, async () => {
      if (this.#engine.catalog.get(entry.key) !== entry) return;
      const parts = [await this.#engine.content.repack(entry.parts[0]!)];
      await this.#engine.log.append({ kind: "put", entry: { ...entry, parts } });
      await this.#engine.discard(entry);
    });
  }
}
