/** One attempt's log while the process runs: where its batches are, who writes, who waits for more. */
import { Places } from "./places.ts";

export class AttemptLog {
  readonly key: string;
  readonly places = new Places();
  /** Printed since the process started, whether or not they are still there. */
  linesPrinted = 0;
  /** Places that the index on disk lacks. */
  #unsaved = new Places();
  #writers = 0;
  readonly #waiters = new Set<() => void>();

  constructor(key: string) {
    this.key = key;
  }

  get isOpen(): boolean {
    return this.#writers > 0;
  }

  beginWriting(): void {
    this.#writers += 1;
  }

  endWriting(): void {
    this.#writers -= 1;
    this.#wake();
  }

  add(sequence: number): void {
    this.places.add(sequence);
    this.#unsaved.add(sequence);
    this.#wake();
  }

  takeUnsaved(): readonly number[] {
    const runs = this.#unsaved.toRuns();
    this.#unsaved = new Places();
    return runs;
  }

  /** Resolves at the next batch or end, or once the signal aborts. */
  changed(signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const wake = () => {
        signal.removeEventListener("abort", wake);
        this.#waiters.delete(wake);
        resolve();
      };
      signal.addEventListener("abort", wake, { once: true });
      this.#waiters.add(wake);
    });
  }

  #wake(): void {
    for (const wake of [...this.#waiters]) wake();
  }
}
