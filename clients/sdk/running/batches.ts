/** Collects what is asked for one by one into requests that carry many, one request under way at a time. */

export interface BatchLimits<Item> {
  readonly itemsMax: number;
  readonly bytesMax: number;
  readonly sizeOf: (item: Item) => number;
}

interface Entry<Item> {
  readonly item: Item;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

export class Batches<Item> {
  readonly #limits: BatchLimits<Item>;
  readonly #send: (items: readonly Item[]) => Promise<void>;
  readonly #waiting: Entry<Item>[] = [];
  #sending = false;

  constructor(limits: BatchLimits<Item>, send: (items: readonly Item[]) => Promise<void>) {
    this.#limits = limits;
    this.#send = send;
  }

  /** Resolves when the request that carried the item was answered. */
  add(item: Item): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ item, resolve, reject });
      if (this.#sending) return;
      this.#sending = true;
      // What the same turn of the event loop asks for travels together.
      setImmediate(() => void this.#sendAll());
    });
  }

  async #sendAll(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#take();
      try {
        await this.#send(batch.map((entry) => entry.item));
        for (const entry of batch) entry.resolve();
      } catch (error) {
        for (const entry of batch) entry.reject(error);
      }
    }
    this.#sending = false;
  }

  #take(): readonly Entry<Item>[] {
    let count = 0;
    let bytes = 0;
    for (const { item } of this.#waiting) {
      bytes += this.#limits.sizeOf(item);
      if (count > 0 && (count >= this.#limits.itemsMax || bytes > this.#limits.bytesMax)) break;
      count += 1;
    }
    return this.#waiting.splice(0, count);
  }
}
