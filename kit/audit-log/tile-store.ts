/**
 * The tree's full tiles on disk, encrypted, one journal for each level: a tile's sequence is its index + 1. Tiles wait
 * in memory until the next checkpoint writes them; whatever a crash takes is made again from the records.
 */
import { decodeHashes, type FullTile, type Hash, tileLevels } from "@biplane/audit";
import { BiplaneError, MiB } from "@biplane/base";
import { deriveKey, type Key } from "../crypto.ts";
import { type Journal, openJournal } from "../journal.ts";

/** 256 tiles of 8 KiB: what a read of an old tile has to pass over at most. */
const segmentBytesMax = 2 * MiB;
const cachedMax = 64;

export class TileStore {
  readonly #levels: readonly Journal[];
  #waiting: FullTile[] = [];
  readonly #cache = new Map<string, readonly Hash[]>();

  private constructor(levels: readonly Journal[]) {
    this.#levels = levels;
  }

  static async open(folder: string, key: Key): Promise<TileStore> {
    const levels: Journal[] = [];
    for (let level = 0; level < tileLevels; level += 1) {
      const name = `tiles-${level}`;
      levels.push(await openJournal({ folder, key: deriveKey(key, name), name, segmentBytesMax }));
    }
    return new TileStore(levels);
  }

  get waitingCount(): number {
    return this.#waiting.length;
  }

  /** Full tiles of the level on disk. */
  countOf(level: number): number {
    return Number(this.#levels[level]!.lastSequence);
  }

  /** On disk at the next `flush`. */
  add(tiles: readonly FullTile[]): void {
    this.#waiting.push(...tiles);
  }

  /** The lower levels first, so that no tile is there without those that it stands for. */
  async flush(): Promise<void> {
    const tiles = this.#waiting;
    if (tiles.length === 0) return;
    for (const [level, journal] of this.#levels.entries()) {
      const due = tiles.filter((tile) => tile.level === level);
      if (due.length > 0) await journal.appendMany(due.map(({ bytes }) => bytes));
    }
    // Others may have been added meanwhile.
    this.#waiting = this.#waiting.slice(tiles.length);
  }

  /** Throws `data_loss` where the tile is not what was written, `out_of_range` where there is none. */
  async read(level: number, index: number): Promise<readonly Hash[]> {
    const waiting = this.#waiting.find((tile) => tile.level === level && tile.index === index);
    if (waiting !== undefined) return decodeHashes(waiting.bytes);
    const name = `${level}/${index}`;
    const cached = this.#cache.get(name);
    if (cached !== undefined) return cached;
    for await (const { record } of this.#levels[level]!.read(BigInt(index) + 1n)) {
      const hashes = decodeHashes(record);
      this.#remember(name, hashes);
      return hashes;
    }
    throw new BiplaneError("out_of_range", `The log has no tile ${name}.`, { reason: "no_tile" });
  }

  async close(): Promise<void> {
    for (const journal of this.#levels) await journal.close();
  }

  #remember(name: string, hashes: readonly Hash[]): void {
    const [oldest] = this.#cache.keys();
    if (this.#cache.size >= cachedMax && oldest !== undefined) this.#cache.delete(oldest);
    this.#cache.set(name, hashes);
  }
}
