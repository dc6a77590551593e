/**
 * A bounded queue between a producer and one consumer. `push` resolves when there is room, so that a slow consumer
 * slows its producer down instead of filling the memory.
 */
export class BoundedQueue<T> implements AsyncIterable<T> {
  readonly #capacity: number;
  readonly #items: T[] = [];
  #wakeConsumer: (() => void) | undefined;
  #wakeProducers: (() => void)[] = [];
  #closed = false;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  get length(): number {
    return this.#items.length;
  }

  /** Resolves to false where the queue was closed and the item dropped. */
  async push(item: T): Promise<boolean> {
    while (!this.#closed && this.#items.length >= this.#capacity) {
      await new Promise<void>((resolve) => this.#wakeProducers.push(resolve));
    }
    return this.tryPush(item);
  }

  /** False where the queue is full or closed. */
  tryPush(item: T): boolean {
    if (this.#closed || this.#items.length >= this.#capacity) return false;
    this.#items.push(item);
    this.#wakeConsumer?.();
    return true;
  }

  /** Ends the iteration once what is queued was taken. */
  close(): void {
    this.#closed = true;
    this.#wakeConsumer?.();
    for (const wake of this.#wakeProducers.splice(0)) wake();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    for await (const [item] of this.groups(1)) yield item!;
  }

  /** Whatever is queued, up to `itemsMax` at once: for consumers that pay per group, as for one sync to the disk. */
  async *groups(itemsMax: number): AsyncGenerator<T[]> {
    for (;;) {
      const group = this.#items.splice(0, itemsMax);
      if (group.length > 0) {
        for (const wake of this.#wakeProducers.splice(0, group.length)) wake();
        yield group;
      } else if (this.#closed) {
        return;
      } else {
        await new Promise<void>((resolve) => {
          this.#wakeConsumer = resolve;
        });
        this.#wakeConsumer = undefined;
      }
    }
  }
}
