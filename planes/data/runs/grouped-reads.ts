/** Reads of single keys that are asked for while another read is under way share the next one. */
const keysPerReadMax = 500;

interface Asked<K, V> {
  readonly key: K;
  readonly answer: PromiseWithResolvers<V | undefined>;
}

export class GroupedReads<K, V> {
  readonly #read: (keys: readonly K[]) => Promise<ReadonlyMap<K, V>>;
  #asked: Asked<K, V>[] = [];
  #isReading = false;

  /** `read` gives what it found; keys without a value are absent from its answer. */
  constructor(read: (keys: readonly K[]) => Promise<ReadonlyMap<K, V>>) {
    this.#read = read;
  }

  get(key: K): Promise<V | undefined> {
    const answer = Promise.withResolvers<V | undefined>();
    this.#asked.push({ key, answer });
    void this.#readAll();
    return answer.promise;
  }

  async #readAll(): Promise<void> {
    if (this.#isReading) return;
    this.#isReading = true;
    // Everything that asks in this turn of the event loop is in the first read already.
    await new Promise<void>((resolve) => setImmediate(resolve));
    while (this.#asked.length > 0) await this.#readSome(this.#asked.splice(0, keysPerReadMax));
    this.#isReading = false;
  }

  async #readSome(asked: readonly Asked<K, V>[]): Promise<void> {
    try {
      const found = await this.#read([...new Set(asked.map(({ key }) => key))]);
      for (const { key, answer } of asked) answer.resolve(found.get(key));
    } catch (error) {
      for (const { answer } of asked) answer.reject(error);
    }
  }
}
