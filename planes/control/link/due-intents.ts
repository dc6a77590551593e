/** Sends the intents of a cluster that no answer came for: at the beginning of a connection, and after a jam. */
import type { Clock } from "@biplane/kit";
import { type DuePosition, dueIntents } from "../placing/intents.ts";
import type { Source } from "./apply.ts";
import type { Downstream } from "./downstream.ts";

const pageSize = 256;

export class DueIntents {
  readonly #source: Source;
  readonly #clock: Clock;
  readonly #downstream: Downstream;
  #running: Promise<void> | undefined;
  #wanted = false;

  constructor(source: Source, clock: Clock, downstream: Downstream) {
    this.#source = source;
    this.#clock = clock;
    this.#downstream = downstream;
  }

  /** Goes through all that are due, once more where it is under way already. `failed` is told of a failure. */
  start(failed: (error: unknown) => void): void {
    this.#wanted = true;
    this.#running ??= this.#run()
      .catch(failed)
      .finally(() => {
        this.#running = undefined;
        // Asked for between the last look and this moment.
        if (this.#wanted) this.start(failed);
      });
  }

  /** Resolves when nothing is under way. */
  async settle(): Promise<void> {
    await this.#running;
  }

  async #run(): Promise<void> {
    while (this.#wanted) {
      this.#wanted = false;
      let after: DuePosition | undefined;
      do {
        const page = await this.#readPage(after);
        for (const value of page.intents) {
          if (!(await this.#downstream.sendWhenRoom({ case: "intent", value }))) return;
        }
        after = page.next;
      } while (after !== undefined);
    }
  }

  #readPage(after: DuePosition | undefined) {
    const { store, org, cluster } = this.#source;
    return store.asOrg(org, (transaction) =>
      dueIntents({ store, transaction, org, cluster, nowMs: this.#clock.now() }, pageSize, after),
    );
  }
}
