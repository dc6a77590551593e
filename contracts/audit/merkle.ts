/**
 * The Merkle tree of RFC 6962 section 2.1: hashes, inclusion and consistency proofs, and their verification. Sizes and
 * indexes are plain numbers, so that nothing here may shift bits: a log has more than 2^32 records some day.
 */
import { hash } from "node:crypto";
import { BiplaneError } from "@biplane/base";

export type Hash = Uint8Array;
export const hashBytes = 32;

/** The hash of a complete subtree: of height `level`, the `index`-th of that height from the left. */
export type NodeReader = (level: number, index: number) => Promise<Hash>;

/** Used again for each record that fits, which all but a stranger's do: a new buffer for each would be a burden. */
const recordRoom = new Uint8Array(16_384);

export function leafHash(record: Uint8Array): Hash {
  return bytesOf(leafHashText(record));
}

/** Packed as a tile has them, one after the other: as objects of their own they cost twice as much. */
export function leafHashes(records: readonly Uint8Array[]): Uint8Array {
  const hashes = Buffer.allocUnsafeSlow(records.length * hashBytes);
  for (let index = 0; index < records.length; index += 1) {
    hashes.write(leafHashText(records[index]!), index * hashBytes, hashBytes, "binary");
  }
  return hashes;
}

function leafHashText(record: Uint8Array): string {
  const length = 1 + record.length;
  const prefixed = length <= recordRoom.length ? recordRoom.subarray(0, length) : new Uint8Array(length);
  prefixed[0] = 0;
  prefixed.set(record, 1);
  return sha256(prefixed);
}

/** Used again for each node. */
const both = new Uint8Array(1 + 2 * hashBytes);
both[0] = 1;

export function nodeHash(left: Hash, right: Hash): Hash {
  both.set(left, 1);
  both.set(right, 1 + hashBytes);
  return bytesOf(sha256(both));
}

/** As text, which Node gives in half of the time that a buffer takes. */
function sha256(bytes: Uint8Array): string {
  return hash("sha256", bytes, "binary");
}

function bytesOf(text: string): Hash {
  const { buffer, byteOffset } = Buffer.from(text, "binary");
  return new Uint8Array(buffer, byteOffset, hashBytes);
}

/** The root of no records. */
export const emptyRoot: Hash = bytesOf(sha256(new Uint8Array(0)));

/** As many as a tile has; used again for each root. */
const folding = Buffer.allocUnsafeSlow(256 * hashBytes);

/**
 * The root of packed hashes of neighbouring subtrees of one height, at most a tile of them. Their number is a power of
 * two.
 */
export function rootOfPacked(hashes: Uint8Array): Hash {
  folding.set(hashes);
  for (let pairs = hashes.length / hashBytes / 2; pairs >= 1; pairs /= 2) {
    for (let pair = 0; pair < pairs; pair += 1) {
      both.set(folding.subarray(2 * pair * hashBytes, 2 * (pair + 1) * hashBytes), 1);
      folding.write(sha256(both), pair * hashBytes, hashBytes, "binary");
    }
  }
  return new Uint8Array(folding.subarray(0, hashBytes));
}

export async function rootOf(size: number, node: NodeReader): Promise<Hash> {
  return size === 0 ? emptyRoot : rangeRoot(0, size, node);
}

/** PATH of RFC 6962 section 2.1.1: shows that the record `index` is in the tree of `size` records. */
export function inclusionProof(index: number, size: number, node: NodeReader): Promise<Hash[]> {
  return pathIn(index, 0, size, node);
}

/** PROOF of RFC 6962 section 2.1.2: shows that the tree of `newSize` records begins with the one of `oldSize`. */
export async function consistencyProof(oldSize: number, newSize: number, node: NodeReader): Promise<Hash[]> {
  return oldSize === 0 ? [] : subproof(oldSize, 0, newSize, true, node);
}

export function isIncluded(
  leaf: Hash,
  index: number,
  tree: { readonly size: number; readonly root: Hash },
  proof: readonly Hash[],
): boolean {
  if (index >= tree.size) return false;
  const rest = [...proof];
  const walk = (at: number, size: number): Hash | undefined => {
    if (size === 1) return leaf;
    const split = splitOf(size);
    const inner = at < split ? walk(at, split) : walk(at - split, size - split);
    const sibling = rest.shift();
    if (inner === undefined || sibling === undefined) return undefined;
    return at < split ? nodeHash(inner, sibling) : nodeHash(sibling, inner);
  };
  const root = walk(index, tree.size);
  return root !== undefined && rest.length === 0 && sameHash(root, tree.root);
}

/** Whether `later` begins with all records of `earlier`, as the proof claims. */
export function isConsistent(
  earlier: { readonly size: number; readonly root: Hash },
  later: { readonly size: number; readonly root: Hash },
  proof: readonly Hash[],
): boolean {
  if (earlier.size > later.size) return false;
  if (earlier.size === 0) return proof.length === 0 && sameHash(earlier.root, emptyRoot);
  const rest = [...proof];
  const roots = rootsOf(earlier.size, later.size, true, earlier.root, rest);
  if (roots === undefined || rest.length > 0) return false;
  return sameHash(roots.old, earlier.root) && sameHash(roots.new, later.root);
}

/** Hashes are public: the time that a comparison takes tells nobody anything. */
export function sameHash(left: Hash, right: Hash): boolean {
  return left.length === right.length && left.every((byte, index) => byte === right[index]);
}

/** Takes the proof apart in the order in which `subproof` made it. */
function rootsOf(
  oldSize: number,
  newSize: number,
  isWhole: boolean,
  oldRoot: Hash,
  rest: Hash[],
): { old: Hash; new: Hash } | undefined {
  if (oldSize === newSize) {
    const root = isWhole ? oldRoot : rest.shift();
    return root === undefined ? undefined : { old: root, new: root };
  }
  const split = splitOf(newSize);
  const isLeft = oldSize <= split;
  const inner = isLeft
    ? rootsOf(oldSize, split, isWhole, oldRoot, rest)
    : rootsOf(oldSize - split, newSize - split, false, oldRoot, rest);
  const sibling = rest.shift();
  if (inner === undefined || sibling === undefined) return undefined;
  if (isLeft) return { old: inner.old, new: nodeHash(inner.new, sibling) };
  return { old: nodeHash(sibling, inner.old), new: nodeHash(sibling, inner.new) };
}

async function rangeRoot(start: number, end: number, node: NodeReader): Promise<Hash> {
  const size = end - start;
  const height = heightOf(size);
  if (2 ** height === size) return node(height, start / size);
  const split = start + splitOf(size);
  return nodeHash(await rangeRoot(start, split, node), await rangeRoot(split, end, node));
}

async function pathIn(index: number, start: number, end: number, node: NodeReader): Promise<Hash[]> {
  if (end - start === 1) return [];
  const split = start + splitOf(end - start);
  return index < split
    ? [...(await pathIn(index, start, split, node)), await rangeRoot(split, end, node)]
    : [...(await pathIn(index, split, end, node)), await rangeRoot(start, split, node)];
}

async function subproof(
  oldSize: number,
  start: number,
  end: number,
  isWhole: boolean,
  node: NodeReader,
): Promise<Hash[]> {
  if (oldSize > end - start) {
    throw new BiplaneError("out_of_range", "A tree can't be shown to begin with a larger one.");
  }
  if (oldSize === end - start) return isWhole ? [] : [await rangeRoot(start, end, node)];
  const split = splitOf(end - start);
  const middle = start + split;
  return oldSize <= split
    ? [...(await subproof(oldSize, start, middle, isWhole, node)), await rangeRoot(middle, end, node)]
    : [...(await subproof(oldSize - split, middle, end, false, node)), await rangeRoot(start, middle, node)];
}

/** The largest power of two below the size, which is at least 2. */
function splitOf(size: number): number {
  let split = 1;
  while (split * 2 < size) split *= 2;
  return split;
}

/** The exponent of the largest power of two that is not above the size. */
function heightOf(size: number): number {
  let height = 0;
  while (2 ** (height + 1) <= size) height += 1;
  return height;
}
