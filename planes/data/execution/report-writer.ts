/** Stores a task's report as it grows: the newest one, one write at a time. */
import { type AttemptId, limits } from "@biplane/base";
import { reportKey } from "@biplane/layout";
import type { ObjectStore } from "../objects/types.ts";

export class ReportWriter {
  readonly #objects: ObjectStore;
  readonly #attempt: AttemptId;
  #next: Uint8Array | undefined;
  #writing: Promise<void> | undefined;
  #stored = false;

  constructor(objects: ObjectStore, attempt: AttemptId) {
    this.#objects = objects;
    this.#attempt = attempt;
  }

  write(html: Uint8Array): void {
    if (html.length > limits.reportBytesMax) return;
    this.#next = html;
    this.#writing ??= this.#drain();
  }

  /** Whether there is a report, once the last one is on disk. */
  async finish(): Promise<boolean> {
    await this.#writing;
    return this.#stored;
  }

  async #drain(): Promise<void> {
    while (this.#next !== undefined) {
      const html = this.#next;
      this.#next = undefined;
      try {
        await this.#objects.put(reportKey(this.#attempt), html, { contentType: "text/html; charset=utf-8" });
        this.#stored = true;
      } catch {
        // A report that can't be stored must not fail the task's result.
      }
    }
    this.#writing = undefined;
  }
}
