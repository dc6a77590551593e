/**
 * The streams that were appended last, as they are encrypted: inputs and outputs of small actions are read moments after
 * they were written, and a read of the file is a way to another thread and back.
 */
import { MiB } from "@biplane/base";

const keptBytesMax = 8 * MiB;

export class RecentStreams {
  /** By place, oldest first. */
  readonly #streams = new Map<string, Uint8Array>();
  #keptBytes = 0;

  add(pack: string, offset: number, bytes: Uint8Array): void {
    this.#streams.set(placeOf(pack, offset), bytes);
    this.#keptBytes += bytes.length;
    for (const [place, oldest] of this.#streams) {
      if (this.#keptBytes <= keptBytesMax) return;
      this.#streams.delete(place);
      this.#keptBytes -= oldest.length;
    }
  }

  /** Fills the buffer from the stream that begins there; false where it is not here. */
  copy(pack: string, offset: number, buffer: Uint8Array): boolean {
    const bytes = this.#streams.get(placeOf(pack, offset));
    if (bytes === undefined || bytes.length < buffer.length) return false;
    buffer.set(bytes.subarray(0, buffer.length));
    return true;
  }
}

function placeOf(pack: string, offset: number): string {
  return `${pack}/${offset}`;
}
