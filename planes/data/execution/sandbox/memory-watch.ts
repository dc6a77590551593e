/** Ends sandboxes that have more memory than they may, where no control group does it: by looking now and then. */
import { residentBytes } from "./process-tree.ts";

const intervalMs = 200;

export class MemoryWatch {
  readonly #pid: number;
  readonly #kill: () => void;
  #bytesMax: number | undefined;
  #timer: NodeJS.Timeout | undefined;
  #exceeded = false;

  constructor(pid: number, kill: () => void) {
    this.#pid = pid;
    this.#kill = kill;
  }

  get exceeded(): boolean {
    return this.#exceeded;
  }

  limit(bytesMax: number | undefined): void {
    this.#bytesMax = bytesMax;
    clearInterval(this.#timer);
    if (bytesMax !== undefined) this.#timer = setInterval(() => this.#look(), intervalMs).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    if (this.#bytesMax === undefined || residentBytes(this.#pid) <= this.#bytesMax) return;
    this.#exceeded = true;
    this.stop();
    this.#kill();
  }
}
