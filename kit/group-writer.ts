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

interface Group<Item, Result> {
  readonly items: Item[];
  bytes: number;
  readonly written: PromiseWithResolvers<void>;
  /** Of each item, once it is written. */
  results: readonly Result[];
}

export class GroupWriter<Item, Result> {
  readonly #options: GroupWriterOptions<Item, Result>;
  /** That no write has begun for, in order; the last one takes more. */
  readonly #waiting: Group<Item, Result>[] = [];
  #waitingBytes = 0;
  #writing: Promise<void> | undefined;

  constructor(options: GroupWriterOptions<Item, Result>) {
    this.#options = options;
  }

  /** Of items that no write has begun for: whoever appends holds it below a bound. */
  get waitingBytes(): number {
    return this.#waitingBytes;
  }

  /** Resolves to the item's own result once it is durable. */
  append(item: Item, bytes: number): Promise<Result> {
    const group = this.#groupFor(bytes);
    const place = group.items.push(item) - 1;
    return group.written.promise.then(() => group.results[place]!);
  }

  /** As `append`, for whoever needs no result: one promise for the whole group, since small items cost little else. */
  join(item: Item, bytes: number): Promise<void> {
    const group = this.#groupFor(bytes);
    group.items.push(item);
    return group.written.promise;
  }

  /** Resolves when nothing waits or is being written. */
  async idle(): Promise<void> {
    await this.#writing;
  }

  #groupFor(bytes: number): Group<Item, Result> {
    let group = this.#waiting.at(-1);
    if (group === undefined || group.bytes + bytes > this.#options.groupBytesMax) {
      group = { items: [], bytes: 0, written: Promise.withResolvers(), results: [] };
      this.#waiting.push(group);
    }
    group.bytes += bytes;
    this.#waitingBytes += bytes;
    this.#writing ??= this.#writeAll();
    return group;
  }

  async #writeAll(): Promise<void> {
    // Appends of the same turn of the event loop go into one group.
    await Promise.resolve();
    for (let group = this.#waiting.shift(); group !== undefined; group = this.#waiting.shift()) {
      this.#waitingBytes -= group.bytes;
      await this.#settle(group);
    }
    this.#writing = undefined;
  }

  async #settle(group: Group<Item, Result>): Promise<void> {
    const { write, cleanUp } = this.#options;
    try {
      group.results = await write(group.items);
      group.written.resolve();
    } catch (cause) {
      // A clean-up that fails, too, must not leave anyone waiting.
      group.written.reject(await cleanUp(cause).catch((failure: unknown) => failure));
    }
  }
}
