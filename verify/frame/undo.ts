/** What has to be put back: newest first, when verify ends, also by Ctrl-C. */
import type { Closeable } from "@biplane/kit/lifecycle";

export class Undo implements Closeable {
  readonly #steps: (() => unknown)[] = [];
  #closing: Promise<void> | undefined;

  /** Gives back how to do it earlier. */
  add(step: () => unknown): () => Promise<void> {
    this.#steps.push(step);
    return async () => {
      const at = this.#steps.indexOf(step);
      if (at === -1) return;
      this.#steps.splice(at, 1);
      await step();
    };
  }

  close(): Promise<void> {
    this.#closing ??= this.#undoAll();
    return this.#closing;
  }

  async #undoAll(): Promise<void> {
    for (let step = this.#steps.pop(); step !== undefined; step = this.#steps.pop()) {
      try {
        await step();
      } catch (error) {
        process.stderr.write(`biplane verify: could not put something back: ${(error as Error).message}\n`);
      }
    }
  }
}
