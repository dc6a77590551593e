/**
 * Keeps the memory of streams small. Each piece of a stream is a new buffer, which V8 collects late: it lets 64 MiB and
 * more of them pile up per thread, because they lie outside its heap. Collecting the young ones after every few
 * megabytes is cheap, since hardly any are still alive.
 */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { MiB } from "@biplane/base";

const collectEveryBytes = 16 * MiB;

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as (options: { type: "minor" }) => void;

let passedBytes = 0;

/** Call it with the size of each large piece that this thread has let go of. */
export function noteStreamed(bytes: number): void {
  passedBytes += bytes;
  if (passedBytes < collectEveryBytes) return;
  passedBytes = 0;
  collect({ type: "minor" });
}
