/** What is being verified right now: one line on standard error. */
import { StatusLine } from "@biplane/cli/output/progress";
import type { Progress } from "../frame/runner.ts";

export class ProgressLine implements Progress {
  readonly #line = new StatusLine();
  readonly #running = new Set<string>();
  readonly #total: number;
  #ended = 0;

  constructor(total: number) {
    this.#total = total;
  }

  begun(id: string): void {
    this.#running.add(id);
    this.#show();
  }

  ended(id: string): void {
    this.#running.delete(id);
    this.#ended += 1;
    this.#show();
  }

  done(): void {
    this.#line.end();
  }

  #show(): void {
    const now = this.#running.size === 0 ? "" : `, now ${[...this.#running].join(" and ")}`;
    this.#line.show(`${this.#ended} of ${this.#total} verified${now}`);
  }
}
