/**
 * Checks a whole log as a stranger would, believing nobody (claims AUD-3, TRUST-4): its signatures, its tree from its
 * records, and that it leads to every checkpoint that somebody remembers. Names the first record that does not fit.
 */
import { isSignedBy, parseCheckpoint, type SignedCheckpoint } from "./checkpoint.ts";
import { type Hash, leafHash, sameHash } from "./merkle.ts";
import type { NoteVerifier } from "./note.ts";
import { tileWidth } from "./tiles.ts";
import { TreeEdge } from "./tree-edge.ts";

/** A checkpoint that somebody has seen, and who that is. */
export interface SeenCheckpoint {
  readonly size: number;
  readonly root: Hash;
  readonly by: string;
}

export interface LogUnderCheck {
  readonly latest: string | undefined;
  readonly cosigned: string | undefined;
  readonly logKey: NoteVerifier;
  /** Undefined where no witness ever answered. */
  readonly witnessKey: NoteVerifier | undefined;
  readonly seen: readonly SeenCheckpoint[];
  /** Of the oldest record that is kept; of older ones there are hashes only. */
  readonly firstIndex: number;
  records(fromIndex: number): AsyncIterable<{ readonly index: number; readonly record: Uint8Array }>;
  /** Of the tile of 256 records, as many as the log has. */
  hashes(tileIndex: number): Promise<readonly Hash[]>;
}

export interface LogVerdict {
  /** Records that the newest checkpoint covers. */
  readonly size: number;
  /** How many of them were read and hashed again; of the others the hashes alone are kept. */
  readonly recordsChecked: number;
  readonly countersignedSize: number;
  /** Undefined: everything fits. */
  readonly problem: LogProblem | undefined;
}

export interface LogProblem {
  readonly what: string;
  /** Index of the first record that does not fit. */
  readonly index?: number;
}

export async function verifyLog(log: LogUnderCheck): Promise<LogVerdict> {
  const signed = readSigned(log);
  if ("what" in signed) return { size: 0, recordsChecked: 0, countersignedSize: 0, problem: signed };
  const { latest, cosigned } = signed;
  const size = latest?.size ?? 0;
  const countersignedSize = cosigned?.size ?? 0;
  const walk = new Walk(log, size, checkpointsOf(log, signed));
  const problem = (await walk.run()) ?? cutAfter(size, checkpointsOf(log, signed));
  return { size, recordsChecked: walk.recordsChecked, countersignedSize, problem };
}

interface Signed {
  readonly latest: SignedCheckpoint | undefined;
  readonly cosigned: SignedCheckpoint | undefined;
}

function readSigned({ latest, cosigned, logKey, witnessKey }: LogUnderCheck): Signed | LogProblem {
  try {
    const own = latest === undefined ? undefined : parseCheckpoint(latest);
    const witnessed = cosigned === undefined ? undefined : parseCheckpoint(cosigned);
    for (const one of [own, witnessed]) {
      if (one !== undefined && !isSignedBy(one, logKey))
        return { what: "a checkpoint is not signed by the log" };
    }
    if (witnessed === undefined || witnessKey === undefined) return { latest: own, cosigned: undefined };
    if (!isSignedBy(witnessed, witnessKey)) return { what: "the countersignature is not the witness's" };
    return { latest: own, cosigned: witnessed };
  } catch {
    return { what: "a checkpoint can't be read" };
  }
}

function checkpointsOf({ seen }: LogUnderCheck, { latest, cosigned }: Signed): readonly SeenCheckpoint[] {
  const own = latest === undefined ? [] : [{ ...latest, by: "its own checkpoint" }];
  const witnessed = cosigned === undefined ? [] : [{ ...cosigned, by: "its countersigned checkpoint" }];
  return [...seen, ...witnessed, ...own];
}

/** A checkpoint of more records than there are is what a cut or rolled back log leaves with others. */
function cutAfter(size: number, checkpoints: readonly SeenCheckpoint[]): LogProblem | undefined {
  const later = checkpoints.find((one) => one.size > size);
  if (later === undefined) return undefined;
  return { index: size, what: `the log ends here, but ${later.by} has ${later.size} records` };
}

class Walk {
  readonly #log: LogUnderCheck;
  readonly #size: number;
  readonly #checkpoints: Map<number, SeenCheckpoint[]>;
  readonly #tree = new TreeEdge();
  #lastGoodSize = 0;
  #tile: readonly Hash[] = [];
  recordsChecked = 0;

  constructor(log: LogUnderCheck, size: number, checkpoints: readonly SeenCheckpoint[]) {
    this.#log = log;
    this.#size = size;
    this.#checkpoints = Map.groupBy(checkpoints, (one) => one.size);
  }

  async run(): Promise<LogProblem | undefined> {
    const records = this.#log.records(this.#log.firstIndex)[Symbol.asyncIterator]();
    try {
      for (let index = 0; index < this.#size; index += 1) {
        const problem = (await this.#step(index, records)) ?? this.#compare(index + 1);
        if (problem !== undefined) return problem;
      }
      return undefined;
    } finally {
      await records.return?.();
    }
  }

  async #step(
    index: number,
    records: AsyncIterator<{ readonly index: number; readonly record: Uint8Array }>,
  ): Promise<LogProblem | undefined> {
    const promised = await this.#promised(index);
    const leaf = index < this.#log.firstIndex ? promised : await this.#leaf(index, records);
    if (leaf === undefined) return { index, what: "the hash of a dropped record can't be read" };
    if (leaf instanceof Uint8Array) {
      if (promised !== undefined && !sameHash(leaf, promised)) {
        return { index, what: "the record is not the one whose hash the log keeps" };
      }
      this.#tree.append(leaf);
      return undefined;
    }
    return leaf;
  }

  async #leaf(
    index: number,
    records: AsyncIterator<{ readonly index: number; readonly record: Uint8Array }>,
  ): Promise<Hash | LogProblem> {
    try {
      const { value, done } = await records.next();
      if (done === true || value.index !== index) return { index, what: "the record is missing" };
      this.recordsChecked += 1;
      return leafHash(value.record);
    } catch (error) {
      return { index, what: `the record can't be read (${(error as Error).message})` };
    }
  }

  /** Hashes are kept a tile at a time; undefined where this tile can't be read: then the roots have to tell. */
  async #promised(index: number): Promise<Hash | undefined> {
    const offset = index % tileWidth;
    if (offset === 0) {
      this.#tile = await this.#log.hashes(index / tileWidth).catch(() => []);
    }
    return this.#tile[offset];
  }

  #compare(size: number): LogProblem | undefined {
    const checkpoints = this.#checkpoints.get(size);
    if (checkpoints === undefined) return undefined;
    const root = this.#tree.root();
    const other = checkpoints.find((one) => !sameHash(one.root, root));
    if (other === undefined) {
      this.#lastGoodSize = size;
      return undefined;
    }
    const first = this.#lastGoodSize;
    const range = size - first === 1 ? "it is" : `records ${first} to ${size - 1} are`;
    return { index: first, what: `${range} not what ${other.by} has` };
  }
}
