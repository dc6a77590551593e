/** Reads one attempt's batches out of the journal that all attempts share. */
import type { Journal } from "@biplane/kit";
import type { Places } from "./places.ts";

/** Passing over this many foreign batches is cheaper than seeking anew. */
const foreignBatchesMax = 256;

export interface FoundBatch {
  readonly sequence: number;
  readonly record: Uint8Array;
}

/** What `places` names from the sequence on, in order. */
export async function* readBatches(
  journal: Journal,
  places: Places,
  fromSequence: number,
): AsyncGenerator<FoundBatch> {
  // What was dropped meanwhile is passed over, as if it had never been asked for.
  const kept = (sequence: number) => places.next(Math.max(sequence, Number(journal.firstSequence)));
  let wanted = kept(fromSequence);
  while (wanted !== undefined) {
    const before = wanted;
    for await (const entry of journal.read(BigInt(wanted))) {
      const sequence = Number(entry.sequence);
      if (sequence === wanted) {
        yield { sequence, record: entry.record };
        wanted = kept(sequence + 1);
      }
      if (wanted === undefined || wanted - sequence > foreignBatchesMax) break;
    }
    // Nothing new was read: what the place names is not on disk yet.
    if (wanted === before) return;
  }
}
