/**
 * What has to be put back: newest first, when verify ends, also by Ctrl-C. Steps that must not wait for anything (a
 * frozen process goes on) are taken at once when the process exits.
 */
import type { Closeable } from "@biplane/kit/lifecycle";

export class Undo implements Closeable {
  readonly #steps: (() => unknown)[] = [];
  readonly #atExit = new Set<() => void>();
  #closing: Promise<void> | undefined;

  constructor() {
    process.once("exit", () => {
      for (const step of this.#atExit) step();
    });
  }

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

  /** Also where the process ends without closing: the step must need no waiting. */
  addNow(step: () => void): () => Promise<void> {
    const once = () => {
      if (this.#atExit.delete(once)) step();
    };
    this.#atExit.add(once);
    return this.add(once);
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
