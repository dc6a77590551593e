/**
 * The right edge of a growing tree: of each level the hashes that do not fill a tile yet. It is all that has to be in
 * memory, at most 255 hashes a level; filled tiles are handed out and never change.
 */
import { emptyRoot, type Hash, nodeHash, rootOfHashes } from "./merkle.ts";
import { type TileRef, tileLevels, tileWidth } from "./tiles.ts";

export interface FullTile {
  readonly level: number;
  readonly index: number;
  readonly hashes: readonly Hash[];
}

export class TreeEdge {
  readonly #rows: Hash[][];
  #size: number;

  /** `rows` are the hashes beyond the full tiles, from level 0 up; fewer than 256 each. */
  constructor(size = 0, rows: readonly (readonly Hash[])[] = []) {
    this.#size = size;
    this.#rows = Array.from({ length: tileLevels }, (_, level) => [...(rows[level] ?? [])]);
  }

  get size(): number {
    return this.#size;
  }

  /** Of each level, copied: they stay as they are while the tree grows. */
  get rows(): readonly (readonly Hash[])[] {
    return this.#rows.map((row) => [...row]);
  }

  /** Returns the tiles that the record filled, the lowest first. */
  append(leaf: Hash): FullTile[] {
    const full: FullTile[] = [];
    let rising: Hash | undefined = leaf;
    for (let level = 0; rising !== undefined && level < tileLevels; level += 1) {
      const row = this.#rows[level]!;
      row.push(rising);
      rising = undefined;
      if (row.length < tileWidth) break;
      const index = Math.floor(this.#size / tileWidth ** (level + 1));
      full.push({ level, index, hashes: row });
      this.#rows[level] = [];
      rising = rootOfHashes(row);
    }
    this.#size += 1;
    return full;
  }

  /** Hashes of a tile that is not full yet; undefined for any other. */
  partial({ level, index }: Pick<TileRef, "level" | "index">): readonly Hash[] | undefined {
    const current = Math.floor(this.#size / tileWidth ** (level + 1));
    return index === current ? this.#rows[level] : undefined;
  }

  root(): Hash {
    let root: Hash | undefined;
    for (const row of this.#rows) root = joined(row, root);
    return root ?? emptyRoot;
  }
}

/** A row's subtrees, the largest powers of two first, with what stands to the right of them. */
function joined(row: readonly Hash[], right: Hash | undefined): Hash | undefined {
  let root = right;
  let end = row.length;
  for (let width = 1; end > 0; width *= 2) {
    if ((end & width) === 0) continue;
    const subtree = rootOfHashes(row.slice(end - width, end));
    root = root === undefined ? subtree : nodeHash(subtree, root);
    end -= width;
  }
  return root;
}
