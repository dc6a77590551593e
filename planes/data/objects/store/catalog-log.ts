/**
 * The catalog on disk: a journal of its changes, and now and then a snapshot so that the journal stays short. A
 * snapshot is taken while changes go on; since every record sets a state, replaying the changes made meanwhile over it
 * gives the catalog as it was.
 */
import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { deriveKey, type Journal, type Key, openJournal, syncDirectory } from "@biplane/kit";
import { Catalog } from "./catalog.ts";
import type { CatalogRecord } from "./entries.ts";

export interface CatalogLogOptions {
  readonly folder: string;
  readonly key: Key;
  /** Changes before a snapshot is worth it; then as many as there are objects. */
  readonly snapshotEveryMin?: number;
}

const snapshotName = "snapshot";
const batchRecords = 500;

export class CatalogLog {
  readonly catalog: Catalog;
  readonly #options: CatalogLogOptions;
  readonly #journal: Journal;
  #applied: bigint;
  #snapshotAt: bigint;
  #snapshotting: Promise<void> | undefined;
  #closed = false;

  private constructor(options: CatalogLogOptions, journal: Journal, catalog: Catalog, snapshotAt: bigint) {
    this.#options = options;
    this.#journal = journal;
    this.catalog = catalog;
    this.#applied = journal.lastSequence;
    this.#snapshotAt = snapshotAt;
  }

  static async open(options: CatalogLogOptions): Promise<CatalogLog> {
    const catalog = new Catalog();
    await mkdir(snapshotsFolder(options), { recursive: true, mode: 0o700 });
    const snapshotAt = await loadNewestSnapshot(options, catalog);
    const journal = await openJournal({ folder: options.folder, key: options.key, name: "catalog" });
    for await (const { record } of journal.read(snapshotAt + 1n)) catalog.apply(decode(record));
    return new CatalogLog(options, journal, catalog, snapshotAt);
  }

  /** Makes the change durable, then visible. */
  async append(record: CatalogRecord): Promise<void> {
    const sequence = await this.#journal.append(encode(record));
    this.catalog.apply(record);
    this.#applied = sequence;
    this.#snapshotIfWorthwhile();
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#snapshotting;
    await this.#journal.close();
  }

  #snapshotIfWorthwhile(): void {
    const changes = Number(this.#applied - this.#snapshotAt);
    const enough = Math.max(this.#options.snapshotEveryMin ?? 20_000, this.catalog.objectCount);
    if (changes < enough || this.#snapshotting !== undefined || this.#closed) return;
    const sequence = this.#applied;
    this.#snapshotting = this.#snapshot(sequence)
      // The journal still has everything: a snapshot that fails, say on a full disk, is tried again later.
      .catch(() => rm(snapshotFolder(this.#options, sequence), { recursive: true, force: true }))
      .finally(() => {
        this.#snapshotting = undefined;
      });
  }

  async #snapshot(sequence: bigint): Promise<void> {
    const folder = snapshotFolder(this.#options, sequence);
    await rm(folder, { recursive: true, force: true });
    const key = snapshotKey(this.#options.key, sequence);
    const snapshot = await openJournal({ folder, key, name: snapshotName });
    let count = 0;
    for (const batch of this.#batches()) {
      await snapshot.appendMany(batch.map(encode));
      count += batch.length;
    }
    // Its presence tells a whole snapshot from one that a crash cut short.
    await snapshot.append(Buffer.from(JSON.stringify({ kind: "end", count })));
    await snapshot.close();
    await syncDirectory(snapshotsFolder(this.#options));
    this.#snapshotAt = sequence;
    await this.#journal.dropBefore(sequence + 1n);
    await removeSnapshotsBefore(this.#options, sequence);
  }

  /** The catalog's present state in bounded pieces; it may change between them. */
  *#batches(): Generator<CatalogRecord[]> {
    for (const { upload, parts } of [...this.catalog.uploads()]) {
      yield [{ kind: "upload", upload }];
      for (const part of [...parts.values()]) yield [{ kind: "part", upload: upload.id, part }];
    }
    let last: string | undefined;
    for (;;) {
      const batch: CatalogRecord[] = [];
      while (batch.length < batchRecords) {
        const entry = this.catalog.next(last ?? "", last !== undefined);
        if (entry === undefined) break;
        batch.push({ kind: "put", entry });
        last = entry.key;
      }
      if (batch.length === 0) return;
      yield batch;
    }
  }
}

async function loadNewestSnapshot(options: CatalogLogOptions, catalog: Catalog): Promise<bigint> {
  const sequences = (await readdir(snapshotsFolder(options)))
    .filter((name) => /^\d+$/.test(name))
    .map(BigInt);
  sequences.sort((left, right) => (left < right ? 1 : -1));
  for (const sequence of sequences) {
    if (await loadSnapshot(options, sequence, catalog)) {
      await removeSnapshotsBefore(options, sequence);
      return sequence;
    }
    await rm(snapshotFolder(options, sequence), { recursive: true, force: true });
  }
  return 0n;
}

async function loadSnapshot(
  options: CatalogLogOptions,
  sequence: bigint,
  catalog: Catalog,
): Promise<boolean> {
  const key = snapshotKey(options.key, sequence);
  const snapshot = await openJournal({ folder: snapshotFolder(options, sequence), key, name: snapshotName });
  try {
    if (!(await isWhole(snapshot))) return false;
    for await (const { record, sequence: at } of snapshot.read(1n)) {
      if (at < snapshot.lastSequence) catalog.apply(decode(record));
    }
    return true;
  } finally {
    await snapshot.close();
  }
}

async function isWhole(snapshot: Journal): Promise<boolean> {
  for await (const { record } of snapshot.read(snapshot.lastSequence)) {
    return (JSON.parse(Buffer.from(record).toString()) as { kind: string }).kind === "end";
  }
  return false;
}

async function removeSnapshotsBefore(options: CatalogLogOptions, sequence: bigint): Promise<void> {
  for (const name of await readdir(snapshotsFolder(options))) {
    if (/^\d+$/.test(name) && BigInt(name) < sequence) {
      await rm(join(snapshotsFolder(options), name), { recursive: true, force: true });
    }
  }
}

function snapshotsFolder(options: CatalogLogOptions): string {
  return join(options.folder, "snapshots");
}

function snapshotFolder(options: CatalogLogOptions, sequence: bigint): string {
  return join(snapshotsFolder(options), String(sequence));
}

function snapshotKey(key: Key, sequence: bigint): Key {
  return deriveKey(key, `catalog snapshot ${sequence}`);
}

function encode(record: CatalogRecord): Buffer {
  return Buffer.from(JSON.stringify(record));
}

function decode(record: Uint8Array): CatalogRecord {
  return JSON.parse(Buffer.from(record).toString()) as CatalogRecord;
}
