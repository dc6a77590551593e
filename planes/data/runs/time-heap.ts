/** A binary heap by time: adding and taking the earliest cost the logarithm of its size. */
interface Timed<T> {
  readonly atMs: number;
  readonly item: T;
}

export class TimeHeap<T> {
  readonly #entries: Timed<T>[] = [];

  firstTime(): number | undefined {
    return this.#entries[0]?.atMs;
  }

  push(atMs: number, item: T): void {
    this.#entries.push({ atMs, item });
    let index = this.#entries.length - 1;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (this.#at(parent) <= this.#at(index)) return;
      this.#swap(parent, index);
      index = parent;
    }
  }

  /** The earliest item that is due, or undefined. */
  popUntil(nowMs: number): T | undefined {
    const first = this.#entries[0];
    if (first === undefined || first.atMs > nowMs) return undefined;
    const last = this.#entries.pop()!;
    if (this.#entries.length > 0) {
      this.#entries[0] = last;
      this.#sink();
    }
    return first.item;
  }

  #sink(): void {
    for (let index = 0; ; ) {
      let smallest = index;
      for (const child of [2 * index + 1, 2 * index + 2]) {
        if (child < this.#entries.length && this.#at(child) < this.#at(smallest)) smallest = child;
      }
      if (smallest === index) return;
      this.#swap(smallest, index);
      index = smallest;
    }
  }

  #at(index: number): number {
    return this.#entries[index]!.atMs;
  }

  #swap(left: number, right: number): void {
    const entry = this.#entries[left]!;
    this.#entries[left] = this.#entries[right]!;
    this.#entries[right] = entry;
  }
}
