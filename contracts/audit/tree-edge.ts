/**
 * The right edge of a growing tree: of each level the hashes that do not fill a tile yet. It is all that has to be in
 * memory, at most 255 hashes a level; filled tiles are handed out and never change.
 */
import { emptyRoot, type Hash, hashBytes, nodeHash, rootOfPacked } from "./merkle.ts";
import { decodeHashes, type TileRef, tileLevels, tileWidth } from "./tiles.ts";

export interface FullTile {
  readonly level: number;
  readonly index: number;
  /** Its hashes, packed. */
  readonly bytes: Uint8Array;
}

const tileBytes = tileWidth * hashBytes;

/** Packed hashes: as objects of their own they would live long enough to be a burden on V8's collector. */
interface Row {
  bytes: Uint8Array;
  filled: number;
}

export class TreeEdge {
  readonly #rows: readonly Row[];
  #size: number;

  /** `rows` are the hashes beyond the full tiles, packed, from level 0 up; fewer than 256 each. */
  constructor(size = 0, rows: readonly Uint8Array[] = []) {
    this.#size = size;
    this.#rows = Array.from({ length: tileLevels }, (_, level) => {
      const bytes = new Uint8Array(tileBytes);
      const known = rows[level] ?? new Uint8Array(0);
      bytes.set(known);
      return { bytes, filled: known.length };
    });
  }

  get size(): number {
    return this.#size;
  }

  /** Of each level, packed and copied: they stay as they are while the tree grows. */
  get rows(): readonly Uint8Array[] {
    return this.#rows.map(({ bytes, filled }) => bytes.slice(0, filled));
  }

  /** Takes any number of leaves, packed. Returns the tiles that they filled, the lower ones before those above them. */
  append(leaves: Uint8Array): FullTile[] {
    const full: FullTile[] = [];
    for (let taken = 0; taken < leaves.length; ) {
      const fits = Math.min(leaves.length - taken, tileBytes - this.#rows[0]!.filled);
      this.#size += fits / hashBytes;
      this.#add(0, leaves.subarray(taken, taken + fits), full);
      taken += fits;
    }
    return full;
  }

  #add(level: number, hashes: Uint8Array, full: FullTile[]): void {
    const row = this.#rows[level];
    if (row === undefined) return;
    row.bytes.set(hashes, row.filled);
    row.filled += hashes.length;
    if (row.filled < tileBytes) return;
    const { bytes } = row;
    full.push({ level, index: this.#size / tileWidth ** (level + 1) - 1, bytes });
    row.bytes = new Uint8Array(tileBytes);
    row.filled = 0;
    this.#add(level + 1, rootOfPacked(bytes), full);
  }

  /** Hashes of a tile that is not full yet; undefined for any other. */
  partial({ level, index }: Pick<TileRef, "level" | "index">): readonly Hash[] | undefined {
    const current = Math.floor(this.#size / tileWidth ** (level + 1));
    const row = this.#rows[level];
    return row === undefined || index !== current
      ? undefined
      : decodeHashes(row.bytes.subarray(0, row.filled));
  }

  root(): Hash {
    let root: Hash | undefined;
    for (const row of this.#rows) root = joined(row, root);
    return root ?? emptyRoot;
  }
}

/** A row's subtrees, the largest powers of two first, with what stands to the right of them. */
function joined({ bytes, filled }: Row, right: Hash | undefined): Hash | undefined {
  let root = right;
  let end = filled / hashBytes;
  for (let width = 1; end > 0; width *= 2) {
    if ((end & width) === 0) continue;
    const subtree = rootOfPacked(bytes.subarray((end - width) * hashBytes, end * hashBytes));
    root = root === undefined ? subtree : nodeHash(subtree, root);
    end -= width;
  }
  return root;
}
