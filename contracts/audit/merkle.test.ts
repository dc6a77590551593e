/** The tree against a second, naive reading of RFC 6962, and against changes that proofs must not survive. */
import fc from "fast-check";
import { expect, test } from "vitest";
import {
  consistencyProof,
  emptyRoot,
  type Hash,
  inclusionProof,
  isConsistent,
  isIncluded,
  leafHash,
  leafHashes,
  nodeHash,
  rootOf,
} from "./merkle.ts";
import {
  decodeBundle,
  decodeHashes,
  encodeBundle,
  encodeHashes,
  nodesFromTiles,
  parseLogPath,
  tilePathOf,
  widthIn,
} from "./tiles.ts";
import { TreeEdge } from "./tree-edge.ts";

/** MTH as RFC 6962 section 2.1 writes it down. */
function naiveRoot(leaves: readonly Hash[]): Hash {
  if (leaves.length === 0) return emptyRoot;
  if (leaves.length === 1) return leaves[0]!;
  let split = 1;
  while (split * 2 < leaves.length) split *= 2;
  return nodeHash(naiveRoot(leaves.slice(0, split)), naiveRoot(leaves.slice(split)));
}

const leafOf = (index: number) => leafHash(new TextEncoder().encode(`record ${index}`));
const leaves = Array.from({ length: 1_400 }, (_, index) => leafOf(index));

/** A log as it is stored: full tiles, and the edge. */
function grow(size: number) {
  const edge = new TreeEdge();
  const tiles = new Map<string, readonly Hash[]>();
  for (const leaf of leaves.slice(0, size)) {
    for (const { level, index, bytes } of edge.append(leaf))
      tiles.set(`${level}/${index}`, decodeHashes(bytes));
  }
  const node = nodesFromTiles(async ({ level, index, width }) => {
    const hashes = edge.partial({ level, index }) ?? tiles.get(`${level}/${index}`) ?? [];
    return hashes.slice(0, width);
  });
  return { edge, node };
}

const sizes = fc.integer({ min: 1, max: leaves.length });

test("the empty tree's root and the first hashes are RFC 6962's", () => {
  const hex = (hash: Hash) => Buffer.from(hash).toString("hex");
  expect(hex(emptyRoot)).toBe("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  expect(hex(leafHash(new Uint8Array(0)))).toBe(
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
  );
});

test("a tree grown record by record, and one read from its tiles, have the root of the definition", async () => {
  await fc.assert(
    fc.asyncProperty(sizes, async (size) => {
      const { edge, node } = grow(size);
      const root = naiveRoot(leaves.slice(0, size));
      expect(edge.root()).toEqual(root);
      expect(await rootOf(size, node)).toEqual(root);
    }),
    { numRuns: 40 },
  );
});

test("a later tree is shown to begin with an earlier one, and no other one (claim TRUST-4)", async () => {
  await fc.assert(
    fc.asyncProperty(sizes, sizes, fc.nat(), async (one, other, place) => {
      const [old, size] = [Math.min(one, other), Math.max(one, other)];
      const { node } = grow(size);
      const proof = await consistencyProof(old, size, node);
      const earlier = { size: old, root: naiveRoot(leaves.slice(0, old)) };
      const later = { size, root: naiveRoot(leaves.slice(0, size)) };
      expect(isConsistent(earlier, later, proof)).toBe(true);
      const changed = leaves.slice(0, old);
      changed[place % old] = leafOf(-1);
      expect(isConsistent({ size: old, root: naiveRoot(changed) }, later, proof)).toBe(false);
      expect(isConsistent(earlier, later, [...proof, emptyRoot])).toBe(false);
      if (proof.length > 0) expect(isConsistent(earlier, later, proof.slice(1))).toBe(false);
    }),
    { numRuns: 60 },
  );
});

test("a record is shown to be in the tree at its place, and nowhere else", async () => {
  await fc.assert(
    fc.asyncProperty(sizes, fc.nat(), async (size, place) => {
      const index = place % size;
      const { node } = grow(size);
      const proof = await inclusionProof(index, size, node);
      const tree = { size, root: naiveRoot(leaves.slice(0, size)) };
      expect(isIncluded(leafOf(index), index, tree, proof)).toBe(true);
      expect(isIncluded(leafOf(-1), index, tree, proof)).toBe(false);
      if (size > 1) expect(isIncluded(leafOf(index), (index + 1) % size, tree, proof)).toBe(false);
    }),
    { numRuns: 60 },
  );
});

test("leaves that come together fill the same tiles and make the same tree as one after the other", () => {
  fc.assert(
    fc.property(sizes, fc.nat(), (size, at) => {
      const split = at % size;
      const together = new TreeEdge();
      const tiles = [leaves.slice(0, split), leaves.slice(split, size)].flatMap((part) =>
        together.append(encodeHashes(part)),
      );
      const single = new TreeEdge();
      expect(tiles).toEqual(leaves.slice(0, size).flatMap((leaf) => single.append(leaf)));
      expect([together.size, together.root(), together.rows]).toEqual([size, single.root(), single.rows]);
    }),
    { numRuns: 40 },
  );
  const records = ["", "one", "x".repeat(20_000)].map((text) => new TextEncoder().encode(text));
  expect(decodeHashes(leafHashes(records))).toEqual(records.map(leafHash).map((leaf) => Buffer.from(leaf)));
});

test("an edge put together from its rows goes on as the one that they were taken from", () => {
  const { edge } = grow(777);
  const again = new TreeEdge(edge.size, edge.rows);
  for (const leaf of leaves.slice(777, 1_100)) {
    expect(again.append(leaf)).toEqual(edge.append(leaf));
  }
  expect(again.root()).toEqual(edge.root());
});

test("paths are those of C2SP tlog-tiles, each in one form only", () => {
  expect(tilePathOf(0, 1_234_067, 256)).toBe("tile/0/x001/x234/067");
  expect(tilePathOf("entries", 0, 17)).toBe("tile/entries/000.p/17");
  fc.assert(
    fc.property(fc.nat(4), fc.nat(2 ** 31), fc.integer({ min: 1, max: 256 }), (level, index, width) => {
      expect(parseLogPath(tilePathOf(level, index, width))).toEqual({ kind: "tile", level, index, width });
    }),
  );
  const wrong = ["tile/0/x000/001", "tile/0/1", "tile/0/001.p/0", "tile/0/001.p/256", "tile/00/001"];
  for (const path of [...wrong, "tile/9/001", "../checkpoint", "tile/0/001/", "tile/entries/x001"]) {
    expect(parseLogPath(path), path).toBeUndefined();
  }
});

test("how much of a tile a tree has", () => {
  expect([widthIn(1_000, 0, 3), widthIn(1_000, 0, 2), widthIn(1_000, 0, 4)]).toEqual([232, 256, 0]);
  expect([widthIn(1_000, 1, 0), widthIn(255, 1, 0)]).toEqual([3, 0]);
});

test("bundles and tiles give back what went in; a cut one is refused", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 400 }), { maxLength: 20 }), (records) => {
      expect(decodeBundle(encodeBundle(records))).toEqual(records);
    }),
  );
  expect(decodeHashes(encodeHashes(leaves.slice(0, 7)))).toEqual(leaves.slice(0, 7));
  expect(() => decodeBundle(encodeBundle([new Uint8Array(9)]).slice(0, 8))).toThrow("within a record");
  expect(() => decodeHashes(new Uint8Array(33))).toThrow("part of a hash");
});
