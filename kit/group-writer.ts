/**
 * Appends that come together are written together, so that they share one write and one sync. Groups are bounded, follow
 * each other, and keep the order of the calls; a group that fails does not stop the next one.
 */

export interface GroupWriterOptions<Item, Result> {
  /** A group has at most so many bytes, or one item. */
  readonly groupBytesMax: number;
  /** Makes a group durable; gives each item's result, in order. */
  readonly write: (items: readonly Item[]) => Promise<readonly Result[]>;
  /** After a failed write, before anyone hears of it; gives the error that they hear. */
  readonly cleanUp: (cause: unknown) => Promise<unknown>;
}

interface Waiting<Item, Result> {
  readonly item: Item;
  readonly bytes: number;
  resolve(result: Result): void;
  reject(error: unknown): void;
}

export class GroupWriter<Item, Result> {
  readonly #options: GroupWriterOptions<Item, Result>;
  #waiting: Waiting<Item, Result>[] = [];
  #waitingBytes = 0;
  #writing: Promise<void> | undefined;

  constructor(options: GroupWriterOptions<Item, Result>) {
    this.#options = options;
  }

  /** Of items that no write has begun for: whoever appends holds it below a bound. */
  get waitingBytes(): number {
    return this.#waitingBytes;
  }

  /** Resolves once the item is durable. */
  append(item: Item, bytes: number): Promise<Result> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ item, bytes, resolve, reject });
      this.#waitingBytes += bytes;
      this.#writing ??= this.#writeAll();
    });
  }

  /** Resolves when nothing waits or is being written. */
  async idle(): Promise<void> {
    await this.#writing;
  }

  async #writeAll(): Promise<void> {
    // Appends of the same turn of the event loop go into one group.
    await Promise.resolve();
    while (this.#waiting.length > 0) await this.#settle(this.#takeGroup());
    this.#writing = undefined;
  }

  async #settle(group: readonly Waiting<Item, Result>[]): Promise<void> {
    const { write, cleanUp } = this.#options;
    try {
      const results = await write(group.map(({ item }) => item));
      for (const [index, { resolve }] of group.entries()) resolve(results[index]!);
    } catch (cause) {
      // A clean-up that fails, too, must not leave anyone waiting.
      const error = await cleanUp(cause).catch((failure: unknown) => failure);
      for (const { reject } of group) reject(error);
    }
  }

  #takeGroup(): Waiting<Item, Result>[] {
    let bytes = 0;
    let count = 0;
    for (const waiting of this.#waiting) {
      if (count > 0 && bytes + waiting.bytes > this.#options.groupBytesMax) break;
      bytes += waiting.bytes;
      count += 1;
    }
    this.#waitingBytes -= bytes;
    return this.#waiting.splice(0, count);
  }
}
