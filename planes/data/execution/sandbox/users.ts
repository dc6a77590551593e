/** User ids for sandboxes that root starts: each has its own, so that no two of them share files, sockets or limits. */
import { BiplaneError } from "@biplane/base";

const first = 61_000;
const count = 4_096;

export class SandboxUsers {
  readonly #taken = new Set<number>();
  #next = 0;

  take(): number {
    for (let tried = 0; tried < count; tried += 1) {
      const user = first + ((this.#next + tried) % count);
      if (this.#taken.has(user)) continue;
      this.#taken.add(user);
      this.#next = user - first + 1;
      return user;
    }
    throw new BiplaneError("resource_exhausted", {
      what: "No user id is left for another sandbox.",
      why: `All ${count} from ${first} on are in use.`,
    });
  }

  release(user: number): void {
    this.#taken.delete(user);
  }
}
