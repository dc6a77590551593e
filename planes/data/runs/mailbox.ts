/**
 * What a watcher has not taken yet: of each thing the newest state only, so that a slow reader costs no more memory
 * than the things it watches, and never sees an old state after a newer one.
 */
export class Mailbox<T> {
  readonly #latest = new Map<string, T>();
  #wake: (() => void) | undefined;

  put(key: string, value: T): void {
    this.#latest.delete(key);
    this.#latest.set(key, value);
    this.#wake?.();
  }

  get isEmpty(): boolean {
    return this.#latest.size === 0;
  }

  /** At most `limit`, longest unchanged first; empty only where the signal aborted. */
  async take(limit: number, signal: AbortSignal): Promise<readonly T[]> {
    while (this.#latest.size === 0 && !signal.aborted) await this.#change(signal);
    if (signal.aborted) return [];
    const taken: T[] = [];
    for (const [key, value] of this.#latest) {
      if (taken.length === limit) break;
      taken.push(value);
      this.#latest.delete(key);
    }
    return taken;
  }

  #change(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const finish = () => {
        this.#wake = undefined;
        signal.removeEventListener("abort", finish);
        resolve();
      };
      this.#wake = finish;
      signal.addEventListener("abort", finish, { once: true });
    });
  }
}
