/** A bounded number of open files, kept open between reads. */
import type { FileHandle } from "node:fs/promises";

interface Cached {
  readonly handle: Promise<FileHandle>;
  users: number;
  dropped: boolean;
}

/** Open files by name, at most so many; the one unused for longest is closed first, and none while it is in use. */
export class HandleCache {
  readonly #openFile: (name: string) => Promise<FileHandle>;
  readonly #handlesMax: number;
  readonly #cached = new Map<string, Cached>();

  constructor(handlesMax: number, openFile: (name: string) => Promise<FileHandle>) {
    this.#handlesMax = handlesMax;
    this.#openFile = openFile;
  }

  async use<T>(name: string, work: (file: FileHandle) => Promise<T>): Promise<T> {
    const cached = this.#take(name);
    try {
      return await work(await cached.handle);
    } catch (error) {
      // A handle that did not open must not be found again.
      if (this.#cached.get(name) === cached) this.#cached.delete(name);
      cached.dropped = true;
      throw error;
    } finally {
      cached.users -= 1;
      if (cached.dropped && cached.users === 0) await closeQuietly(cached);
    }
  }

  async drop(name: string): Promise<void> {
    const cached = this.#cached.get(name);
    if (cached === undefined) return;
    this.#cached.delete(name);
    cached.dropped = true;
    if (cached.users === 0) await closeQuietly(cached);
  }

  async close(): Promise<void> {
    for (const name of [...this.#cached.keys()]) await this.drop(name);
  }

  #take(name: string): Cached {
    const cached = this.#cached.get(name) ?? { handle: this.#openFile(name), users: 0, dropped: false };
    // Last in the map's order is last used.
    this.#cached.delete(name);
    this.#cached.set(name, cached);
    cached.users += 1;
    this.#evict();
    return cached;
  }

  #evict(): void {
    if (this.#cached.size <= this.#handlesMax) return;
    for (const [name, cached] of this.#cached) {
      if (cached.users > 0) continue;
      this.#cached.delete(name);
      void closeQuietly(cached);
      return;
    }
  }
}

async function closeQuietly(cached: Cached): Promise<void> {
  await cached.handle.then((file) => file.close()).catch(() => undefined);
}
