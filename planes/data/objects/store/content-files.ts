/** Large streams, each in a file of its own with a random name. */
import { randomBytes } from "node:crypto";
import { type FileHandle, mkdir, open, readdir, unlink } from "node:fs/promises";
import { join } from "node:path";
import { MiB } from "@biplane/base";
import { Semaphore } from "./semaphore.ts";
import { SharedSync } from "./shared-sync.ts";

/**
 * Syncs of large files at a time. Each holds a thread of Node's pool for as long as the disk takes; with all four held,
 * no file of the whole process could be read.
 */
const syncsMax = 2;
/** Written to the disk while more comes: at the end there would be nothing to do but to wait for it. */
const syncEveryBytes = 16 * MiB;

export class ContentFiles {
  readonly #folder: string;
  readonly #sync: SharedSync;
  readonly #dataSyncs = new Semaphore(syncsMax);

  constructor(folder: string) {
    this.#folder = folder;
    this.#sync = new SharedSync(folder);
  }

  /** Deletes what nothing refers to: content whose object was never acknowledged, or is gone. */
  async start(isReferred: (name: string) => boolean): Promise<void> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    for (const name of await readdir(this.#folder)) {
      if (!isReferred(name)) await unlink(join(this.#folder, name));
    }
  }

  /** Lets `write` fill a new file; resolves once it is on disk under its name. On failure nothing is left. */
  async create<T>(
    write: (file: FileHandle, noteWritten: (bytes: number) => void) => Promise<T>,
  ): Promise<{ name: string; result: T }> {
    const name = randomBytes(16).toString("hex");
    const file = await open(this.#path(name), "wx", 0o600);
    const syncing = new SyncAhead(() => this.#dataSyncs.run(() => file.datasync()));
    try {
      const result = await write(file, (bytes) => syncing.noteWritten(bytes));
      await syncing.finish();
      await file.close();
      await this.#sync.sync();
      return { name, result };
    } catch (error) {
      await syncing.settle();
      await file.close().catch(() => undefined);
      await this.remove(name);
      throw error;
    }
  }

  open(name: string): Promise<FileHandle> {
    return open(this.#path(name), "r");
  }

  async remove(name: string): Promise<void> {
    await unlink(this.#path(name)).catch(() => undefined);
  }

  #path(name: string): string {
    return join(this.#folder, name);
  }
}

/** Syncs of one file while it is being written, one at a time. */
class SyncAhead {
  readonly #sync: () => Promise<void>;
  #unsyncedBytes = 0;
  #running: Promise<void> | undefined;
  #failure: unknown;

  constructor(sync: () => Promise<void>) {
    this.#sync = sync;
  }

  noteWritten(bytes: number): void {
    this.#unsyncedBytes += bytes;
    if (this.#unsyncedBytes < syncEveryBytes || this.#running !== undefined) return;
    this.#unsyncedBytes = 0;
    this.#running = this.#sync()
      .catch((error: unknown) => {
        this.#failure ??= error;
      })
      .finally(() => {
        this.#running = undefined;
      });
  }

  /** Resolves once everything is on disk. Linux reports a failed write to one sync only, so that none may be forgotten. */
  async finish(): Promise<void> {
    await this.#running;
    await this.#sync();
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Waits for the sync under way, whatever comes of it, so that the file can be closed. */
  async settle(): Promise<void> {
    await this.#running;
  }
}
