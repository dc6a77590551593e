/** Keeps the object store from filling its disk to the last byte, and says so in words when it is full. */
import { statfs } from "node:fs/promises";
import { BiplaneError } from "@biplane/base";
import { type Clock, systemClock } from "@biplane/kit";

const believedMs = 500;

/** Refuses new content before the disk is quite full: deleting needs a little space for the journal, too. */
export class DiskSpace {
  readonly #folder: string;
  readonly #freeBytesMin: number;
  readonly #clock: Clock;
  #freeBytes = Number.POSITIVE_INFINITY;
  #askedAtMs = Number.NEGATIVE_INFINITY;

  constructor(folder: string, freeBytesMin: number, clock: Clock = systemClock) {
    this.#folder = folder;
    this.#freeBytesMin = freeBytesMin;
    this.#clock = clock;
  }

  /** `bytes` is what is about to be written, 0 where that is not known. */
  async require(bytes: number): Promise<void> {
    const nowMs = this.#clock.now();
    if (nowMs - this.#askedAtMs > believedMs) {
      this.#askedAtMs = nowMs;
      const { bavail, bsize } = await statfs(this.#folder);
      this.#freeBytes = bavail * bsize;
    }
    if (this.#freeBytes - bytes < this.#freeBytesMin) throw diskFull();
    this.#freeBytes -= bytes;
  }
}

export function diskFull(cause?: unknown): BiplaneError {
  return new BiplaneError(
    "resource_exhausted",
    {
      what: "The object store's disk is full; nothing was stored.",
      why: "The disk that holds the data plane's state has no space left for this object.",
      next: "Delete what is not needed, or give the disk more space, then try again.",
    },
    { cause, reason: "disk_full" },
  );
}

/** Tells a full disk from other failures of a write. */
export function asDiskFull(error: unknown): unknown {
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  return code === "ENOSPC" || code === "EDQUOT" ? diskFull(error) : error;
}
