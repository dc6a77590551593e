/**
 * Puts the tree together when a log is opened: from its tiles, from what was promised at the last checkpoint, and only
 * for what came later from the records. So the tree goes on as the other plane knows it, whatever was done to the
 * records since; where they don't fit, that is what is reported.
 */
import {
  encodeHashes,
  hashBytes,
  leafHash,
  nodesFromTiles,
  rootOf,
  rootOfPacked,
  sameHash,
  TreeEdge,
  tileWidth,
} from "@biplane/audit";
import { BiplaneError } from "@biplane/base";
import type { Journal } from "../journal.ts";
import type { readPromise } from "./promise-file.ts";
import type { TileStore } from "./tile-store.ts";

type Promised = Awaited<ReturnType<typeof readPromise>>;

export interface RecoveredTree {
  readonly edge: TreeEdge;
  /** Records that were promised and are not there any more, at the end of the log. */
  readonly lost: number;
  /** Index of the first record near the end that is not the promised one. */
  readonly changed: number | undefined;
  /** The stored hashes do not lead to the promised root. */
  readonly hashesChanged: boolean;
}

export async function recoverTree(
  journal: Pick<Journal, "read" | "lastSequence" | "firstSequence">,
  tiles: TileStore,
  promised: Promised,
): Promise<RecoveredTree> {
  const edge = await edgeOfTiles(tiles);
  const known = knownLeaves(promised);
  let changed: number | undefined;
  if (Number(journal.firstSequence) - 1 > edge.size && Number(journal.lastSequence) > edge.size)
    throw unreadable();
  for await (const { sequence, record } of journal.read(BigInt(edge.size) + 1n)) {
    const index = Number(sequence) - 1;
    const [leaf, promisedLeaf] = [leafHash(record), known(index)];
    if (promisedLeaf !== undefined && !sameHash(leaf, promisedLeaf)) changed ??= index;
    tiles.add(edge.append(promisedLeaf ?? leaf));
  }
  const promisedSize = Math.max(promised?.signed.size ?? 0, edge.size);
  while (edge.size < promisedSize) {
    const leaf = known(edge.size);
    if (leaf === undefined) throw unreadable();
    tiles.add(edge.append(leaf));
  }
  const lost = Math.max(0, promisedSize - Number(journal.lastSequence));
  return { edge, lost, changed, hashesChanged: !(await keeps(edge, tiles, promised)) };
}

/** Every full tile, and of the levels above what is not full. */
async function edgeOfTiles(tiles: TileStore): Promise<TreeEdge> {
  const rows: Uint8Array[] = [new Uint8Array(0)];
  for (let level = 1, below = tiles.countOf(0); below > 0; level += 1) {
    const row: Uint8Array[] = [];
    let count = tiles.countOf(level);
    for (let index = count * tileWidth; index < below; index += 1) {
      row.push(rootOfPacked(encodeHashes(await tiles.read(level - 1, index))));
      if (row.length < tileWidth) continue;
      // A crash came between a tile and the one above it.
      tiles.add([{ level, index: count, bytes: encodeHashes(row.splice(0)) }]);
      count += 1;
    }
    rows.push(encodeHashes(row));
    below = count;
  }
  return new TreeEdge(tiles.countOf(0) * tileWidth, rows);
}

function knownLeaves(promised: Promised): (index: number) => Uint8Array | undefined {
  if (promised === undefined) return () => undefined;
  const first = Math.floor(promised.signed.size / tileWidth) * tileWidth;
  const leaves = promised.rows[0]!;
  return (index) => {
    const start = (index - first) * hashBytes;
    return start < 0 || start >= leaves.length ? undefined : leaves.subarray(start, start + hashBytes);
  };
}

async function keeps(edge: TreeEdge, tiles: TileStore, promised: Promised): Promise<boolean> {
  if (promised === undefined) return true;
  const node = nodesFromTiles(
    async ({ level, index }) => edge.partial({ level, index }) ?? (await tiles.read(level, index)),
  );
  return sameHash(await rootOf(promised.signed.size, node), promised.signed.root);
}

function unreadable(): BiplaneError {
  return new BiplaneError(
    "data_loss",
    {
      what: "The audit log can't be put together.",
      why: "Records and their hashes are missing at once.",
      next: "Restore the state folder from a backup.",
    },
    { reason: "audit_log_incomplete" },
  );
}
