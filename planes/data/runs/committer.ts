/**
 * Group commit: changes decided while a transaction is under way are written together by the next one, so that the
 * disk is synced once for all of them. Nobody is answered before the transaction that holds his change has committed.
 */
export interface CommitterOptions<Batch> {
  newBatch(): Batch;
  /** Nothing to write: those who wait only wait for what was decided before. */
  isEmpty(batch: Batch): boolean;
  /** Writes the batch in one transaction. */
  write(batch: Batch): Promise<void>;
  /** The transaction failed, or may have: brings memory back to what is on disk. Changes wait meanwhile. */
  recover(error: unknown): Promise<void>;
  /** What those who waited are told. */
  failure(error: unknown): Error;
}

interface Group<Batch> {
  readonly batch: Batch;
  readonly done: PromiseWithResolvers<void>;
}

export class Committer<Batch> {
  readonly #options: CommitterOptions<Batch>;
  #open: Group<Batch> | undefined;
  #running: Promise<void> | undefined;
  #later: NodeJS.Timeout | undefined;
  #exclusive: (() => Promise<void>)[] = [];
  #recovering = false;

  constructor(options: CommitterOptions<Batch>) {
    this.#options = options;
  }

  /** False while memory is brought back to what is on disk: decide nothing then. */
  get isUsable(): boolean {
    return !this.#recovering;
  }

  get hasChanges(): boolean {
    return this.#open !== undefined;
  }

  /** The batch that the next transaction writes; call `commit` after the last change to it. */
  get batch(): Batch {
    return this.#group().batch;
  }

  /** Resolves when everything in the present batch is on disk. */
  commit(): Promise<void> {
    const group = this.#group();
    this.#start();
    return group.done.promise;
  }

  /** Like `commit`, without haste: whatever is committed within the time takes the changes along. */
  commitWithin(ms: number): Promise<void> {
    this.#later ??= setTimeout(() => this.#startIfOpen(), ms);
    return this.#group().done.promise;
  }

  /** Runs between transactions, with everything decided before it committed. */
  exclusively<T>(work: () => Promise<T>): Promise<T> {
    const result = Promise.withResolvers<T>();
    this.#exclusive.push(() => work().then(result.resolve, result.reject));
    this.#start();
    return result.promise;
  }

  /** Resolves when nothing is under way, and nothing waits to be. */
  async settle(): Promise<void> {
    this.#startIfOpen();
    while (this.#running !== undefined) await this.#running;
  }

  #group(): Group<Batch> {
    if (this.#open === undefined) {
      const done = Promise.withResolvers<void>();
      done.promise.catch(() => undefined);
      this.#open = { batch: this.#options.newBatch(), done };
    }
    return this.#open;
  }

  #startIfOpen(): void {
    clearTimeout(this.#later);
    this.#later = undefined;
    if (this.#open !== undefined) this.#start();
  }

  #start(): void {
    this.#running ??= this.#run();
  }

  async #run(): Promise<void> {
    // Requests that arrived together are read one after another: let each of them into the same transaction.
    await new Promise<void>((resolve) => setImmediate(resolve));
    try {
      while (this.#open !== undefined || this.#exclusive.length > 0) {
        const group = this.#open;
        this.#open = undefined;
        if (group !== undefined) await this.#write(group);
        for (const work of this.#exclusive.splice(0)) await work();
      }
    } finally {
      // In the same step as the last look at what is open: a commit that came in between would never be written.
      this.#running = undefined;
    }
  }

  async #write(group: Group<Batch>): Promise<void> {
    try {
      if (!this.#options.isEmpty(group.batch)) await this.#options.write(group.batch);
      group.done.resolve();
    } catch (error) {
      await this.#recover(error, group);
    }
  }

  /** Changes decided on top of the lost ones are lost with them. */
  async #recover(error: unknown, group: Group<Batch>): Promise<void> {
    this.#recovering = true;
    const lost = [group, ...(this.#open === undefined ? [] : [this.#open])];
    this.#open = undefined;
    try {
      await this.#options.recover(error);
    } finally {
      this.#recovering = false;
      for (const { done } of lost) done.reject(this.#options.failure(error));
    }
  }
}
