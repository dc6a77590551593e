/**
 * An append-only audit log: encrypted records, their Merkle tree, and signed checkpoints at most a second apart while
 * records come (claims AUD-1, AUD-3, TRUST-4). A record counts once it is on disk; hashing waits for nobody and nobody
 * for it. Only the tree's right edge is in memory.
 */
import {
  type AuditPlane,
  type AuditRecord,
  consistencyProof,
  createNoteSigner,
  decodeAuditRecord,
  encodeAuditRecord,
  encodeBundle,
  formatCheckpoint,
  type Hash,
  isSignedBy,
  leafHashes,
  type NoteSignature,
  type NoteSigner,
  type NoteVerifier,
  nodesFromTiles,
  parseCheckpoint,
  type SignedCheckpoint,
  signCheckpoint,
  type TileRef,
  type TreeEdge,
  tileWidth,
  withSignature,
  witnessNameOf,
} from "@biplane/audit";
import { BiplaneError } from "@biplane/base";
import type { Clock } from "../clock.ts";
import { deriveKey, type Key } from "../crypto.ts";
import { type Journal, openJournal } from "../journal.ts";
import type { Logger } from "../logging.ts";
import { readPromise, writePromise } from "./promise-file.ts";
import { type RecoveredTree, recoverTree } from "./recovery.ts";
import { TileStore } from "./tile-store.ts";

export interface AuditLogOptions {
  readonly folder: string;
  /** Of this log alone: its records, hashes and signers are under it. */
  readonly key: Key;
  /** What its checkpoints are called, see `names.ts` of the audit contract. */
  readonly origin: string;
  /** Part of every record that does not say otherwise. */
  readonly place: { readonly plane: AuditPlane; readonly org: string; readonly cluster?: string };
  readonly clock: Clock;
  readonly log: Logger;
  readonly checkpointMs?: number;
  readonly segmentBytesMax?: number;
}

/** What of a record its writer knows. */
export type AuditInput = Omit<AuditRecord, "atMs" | "plane" | "org"> & {
  readonly atMs?: number;
  readonly org?: string;
};

const checkpointMsDefault = 800;
/** 2 MiB of hashes that wait for the next checkpoint; then it comes earlier. */
const waitingTilesMax = 256;

export async function openAuditLog(options: AuditLogOptions): Promise<AuditLog> {
  const { folder, key, segmentBytesMax } = options;
  let log: AuditLog | undefined;
  const journal = await openJournal({
    folder,
    key,
    name: "audit",
    onSyncing: (records) => log?.hash(records),
    ...(segmentBytesMax === undefined ? {} : { segmentBytesMax }),
  });
  const tiles = await TileStore.open(folder, deriveKey(key, "audit tiles"));
  const promised = await readPromise(promisePath(folder), promiseKey(key));
  const recovered = await recoverTree(journal, tiles, promised);
  // Before the log takes part in appends: the tree has the hashes of what was lost already.
  await markLost(journal, recovered.lost, options);
  log = new AuditLog(options, { journal, tiles, edge: recovered.edge });
  if (promised !== undefined) log.adopt(promised.signed, promised.cosigned);
  await log.reportDamage(recovered);
  return log;
}

/** Marks what is missing in its own place, so that every later record keeps the index that it was promised. */
async function markLost(journal: Journal, lost: number, { place, clock }: AuditLogOptions): Promise<void> {
  for (let count = 0; count < lost; count += 1) {
    const event = eventOf("AUDIT_RECORD_LOST", { count: Number(journal.lastSequence) });
    await journal.append(encodeAuditRecord({ atMs: clock.now(), ...place, ...event }));
  }
}

const promisePath = (folder: string) => `${folder}/promise.sealed`;
const promiseKey = (key: Key) => deriveKey(key, "audit promise");

interface Parts {
  readonly journal: Journal;
  readonly tiles: TileStore;
  readonly edge: TreeEdge;
}

export class AuditLog {
  readonly signer: NoteSigner;
  /** As whom this log's keeper signs checkpoints of others. */
  readonly witness: NoteSigner;
  readonly #options: AuditLogOptions;
  readonly #journal: Journal;
  readonly #tiles: TileStore;
  readonly #edge: TreeEdge;
  readonly #listeners = new Set<() => void>();
  /** Packed hashes of records on disk that the tree doesn't have yet. */
  readonly #leaves: Uint8Array[] = [];
  #latest: SignedCheckpoint | undefined;
  #cosigned: SignedCheckpoint | undefined;
  #promisedCosignedSize = 0;
  #checkpointing: Promise<void> = Promise.resolve();
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  /** Use `openAuditLog`. */
  constructor(options: AuditLogOptions, { journal, tiles, edge }: Parts) {
    this.#options = options;
    this.#journal = journal;
    this.#tiles = tiles;
    this.#edge = edge;
    const { key, origin } = options;
    this.signer = createNoteSigner(origin, "log", deriveKey(key, "audit log signer"));
    this.witness = createNoteSigner(witnessNameOf(origin), "witness", deriveKey(key, "audit witness signer"));
  }

  /** Records on disk; a reader's next index. */
  get size(): number {
    return Number(this.#journal.lastSequence);
  }

  /** Index of the oldest record that is kept. */
  get firstIndex(): number {
    return Number(this.#journal.firstSequence) - 1;
  }

  /** The newest one; undefined before the first. */
  get latest(): SignedCheckpoint | undefined {
    return this.#latest;
  }

  /** The newest one that a witness signed. */
  get cosigned(): SignedCheckpoint | undefined {
    return this.#cosigned;
  }

  /** Resolves once it is on disk; what can't be recorded must not happen. */
  record(input: AuditInput): Promise<void> {
    return this.#journal.keep(this.#encode(input, this.#options.clock.now()));
  }

  /** All or none. */
  async recordAll(inputs: readonly AuditInput[]): Promise<void> {
    const atMs = this.#options.clock.now();
    const records = inputs.map((input) => this.#encode(input, atMs));
    await this.#journal.appendMany(records);
  }

  #encode(input: AuditInput, atMs: number): Uint8Array {
    return encodeAuditRecord({ atMs, ...this.#options.place, ...input });
  }

  /** The same, understood. */
  async *readRecords(fromIndex = 0): AsyncGenerator<AuditRecord & { readonly index: number }> {
    for await (const { index, record } of this.read(fromIndex)) yield { ...decodeAuditRecord(record), index };
  }

  /** From an index on, what is on disk. Throws `data_loss` at a record that can't be read. */
  async *read(fromIndex = 0): AsyncGenerator<{ readonly index: number; readonly record: Uint8Array }> {
    const from = Math.max(fromIndex, this.firstIndex);
    for await (const { sequence, record } of this.#journal.read(BigInt(from) + 1n)) {
      yield { index: Number(sequence) - 1, record };
    }
  }

  /** True once there is a record of this index; false where the signal aborts or the log closes first. */
  waitFor(index: number, signal: AbortSignal): Promise<boolean> {
    return this.#journal.waitFor(BigInt(index) + 1n, signal);
  }

  /** As many hashes as the reference says; fewer where the tree has fewer. */
  async tile({ level, index, width }: TileRef): Promise<readonly Hash[]> {
    this.#grow();
    const hashes = this.#edge.partial({ level, index }) ?? (await this.#tiles.read(level, index));
    return hashes.slice(0, width);
  }

  /** Records of one bundle in the layout's form; undefined where some of them are not there (any more). */
  async bundle(index: number, width: number): Promise<Uint8Array | undefined> {
    const first = index * tileWidth;
    if (first < this.firstIndex || first + width > this.size) return undefined;
    const records: Uint8Array[] = [];
    for await (const { record } of this.read(first)) {
      records.push(record);
      if (records.length === width) return encodeBundle(records);
    }
    return undefined;
  }

  /** That the checkpoint begins with the first `oldSize` records. */
  consistencyProof(oldSize: number, checkpoint: SignedCheckpoint): Promise<Hash[]> {
    return consistencyProof(
      oldSize,
      checkpoint.size,
      nodesFromTiles((ref) => this.tile(ref)),
    );
  }

  /** Signs the tree as it is now, and keeps the promise on disk before anybody sees it. */
  checkpoint(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#checkpointing = this.#checkpointing.then(() => this.#promise());
    return this.#checkpointing;
  }

  /** Calls back after each new checkpoint; returns how to stop that. */
  onCheckpoint(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Takes a witness's signature of a checkpoint of this log. False where it is not one. */
  countersign(checkpoint: SignedCheckpoint, by: NoteVerifier, signature: NoteSignature): boolean {
    const signed = withSignature(checkpoint, signature);
    if (!isSignedBy(signed, this.signer) || !isSignedBy(signed, by)) return false;
    const base = this.#cosigned?.size === signed.size ? this.#cosigned : checkpoint;
    if (signed.size >= (this.#cosigned?.size ?? 0)) this.#cosigned = withSignature(base, signature);
    if (this.#latest?.size === signed.size) this.#latest = withSignature(this.#latest, signature);
    return true;
  }

  /**
   * Drops segments whose records are all older than the index, never later ones than the tree's full tiles reach: the
   * hashes of what was dropped stay, and the tree verifies. The drop is on record before it happens.
   */
  async dropBefore(index: number): Promise<number> {
    await this.checkpoint();
    const until = Math.min(index, this.#tiles.countOf(0) * tileWidth);
    const first = this.firstIndex;
    if (until <= first) return 0;
    const dropping = this.#journal.keptFrom(BigInt(until) + 1n);
    const count = Number(dropping) - 1 - first;
    if (count <= 0) return 0;
    await this.record(eventOf("AUDIT_RECORDS_DROPPED", { count, reason: `from_${first}` }));
    await this.#journal.dropBefore(dropping);
    return count;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    const isPromised = (this.#cosigned?.size ?? 0) === this.#promisedCosignedSize;
    if (this.size > (this.#latest?.size ?? 0) || !isPromised) await this.checkpoint();
    clearTimeout(this.#timer);
    await this.#checkpointing;
    await this.#tiles.close();
    await this.#journal.close();
  }

  /** Of an earlier process. */
  adopt(latest: SignedCheckpoint, cosigned: string | undefined): void {
    this.#latest = latest;
    this.#cosigned = cosigned === undefined ? undefined : parseCheckpoint(cosigned);
    this.#promisedCosignedSize = this.#cosigned?.size ?? 0;
  }

  async reportDamage({ lost, changed, hashesChanged }: RecoveredTree): Promise<void> {
    const { log, origin } = this.#options;
    const at = changed ?? (lost > 0 ? this.size - lost : undefined);
    if (at === undefined && !hashesChanged) return;
    const reason = changed !== undefined ? "record_changed" : lost > 0 ? "records_lost" : "hashes_changed";
    log.error({ event: "audit_log_damaged", origin, index: at ?? -1, reason }, "the audit log was changed");
    await this.record(eventOf("AUDIT_LOG_DAMAGED", { reason, ...(at === undefined ? {} : { count: at }) }));
  }

  /** For the journal, while the records are on their way to the disk; what it returns is called once they are there. */
  hash(records: readonly Uint8Array[]): () => void {
    this.#grow();
    const leaves = leafHashes(records);
    return () => {
      this.#leaves.push(leaves);
      this.#checkpointSoon();
    };
  }

  /** By what is on disk so far. Best while later records are on their way there; at the latest for the checkpoint. */
  #grow(): void {
    for (const leaves of this.#leaves.splice(0)) this.#tiles.add(this.#edge.append(leaves));
    if (this.#tiles.waitingCount > waitingTilesMax) void this.checkpoint();
  }

  #checkpointSoon(): void {
    if (this.#closed) return;
    this.#timer ??= setTimeout(
      () => void this.checkpoint(),
      this.#options.checkpointMs ?? checkpointMsDefault,
    );
  }

  async #promise(): Promise<void> {
    const { folder, key, log, origin } = this.#options;
    try {
      this.#grow();
      const { size, rows } = this.#edge;
      const signed = signCheckpoint(size, this.#edge.root(), this.signer);
      await this.#tiles.flush();
      const promisedCosigned = this.#cosigned;
      const cosigned = promisedCosigned === undefined ? undefined : formatCheckpoint(promisedCosigned);
      const promise = { checkpoint: formatCheckpoint(signed), cosigned, rows };
      await writePromise(promisePath(folder), promiseKey(key), promise);
      this.#promisedCosignedSize = promisedCosigned?.size ?? 0;
      this.#latest = this.#cosigned?.size === size ? this.#cosigned : signed;
    } catch (error) {
      // Records are on disk all the same; the next checkpoint covers them.
      log.error({ event: "checkpoint_failed", origin, error }, "the audit log could not be signed");
      this.#checkpointSoon();
      return;
    }
    for (const listener of [...this.#listeners]) listener();
  }
}

/** A record of something that nobody asked for. */
export function eventOf(code: AuditRecord["code"], details: Partial<AuditInput> = {}): AuditInput {
  return {
    code,
    decision: "event",
    subject: "",
    method: "",
    requestId: "",
    address: "",
    addressFrom: "none",
    ...details,
  };
}

export function notInLog(what: string): BiplaneError {
  return new BiplaneError("not_found", `The audit log has no ${what}.`, { reason: "not_in_log" });
}
