/** The newest keys in memory, a bounded number of them; what is older is asked of the database. */
const keysMax = 10_000;

export class RecentKeys<T> {
  readonly #values = new Map<string, T>();

  get(key: string): T | undefined {
    return this.#values.get(key);
  }

  set(key: string, value: T): void {
    this.#values.delete(key);
    this.#values.set(key, value);
    if (this.#values.size <= keysMax) return;
    for (const oldest of this.#values.keys()) {
      this.#values.delete(oldest);
      return;
    }
  }

  clear(): void {
    this.#values.clear();
  }

  delete(key: string): void {
    this.#values.delete(key);
  }
}
