/** "Something changed": wakes those who wait at the moment, and those who registered. Carries nothing. */
export class Signal {
  readonly #waiting = new Set<() => void>();
  readonly #listeners = new Set<() => void>();

  notify(): void {
    for (const wake of [...this.#waiting]) wake();
    for (const listener of this.#listeners) listener();
  }

  onNotify(listener: () => void): void {
    this.#listeners.add(listener);
  }

  /** Resolves at the next notification or when the signal aborts; never rejects. */
  wait(signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const wake = () => {
        this.#waiting.delete(wake);
        signal.removeEventListener("abort", wake);
        resolve();
      };
      this.#waiting.add(wake);
      signal.addEventListener("abort", wake, { once: true });
    });
  }
}
