/** How long log lines are kept: until they are too old, or until newer ones need their place. Whole files go. */
import { day, GiB, minute } from "@biplane/base";
import type { SegmentOnDisk } from "@biplane/kit/journal";

export interface LogLimits {
  readonly ageMsMax: number;
  readonly bytesMax: number;
}

export const defaultLogDays = 30;
export const defaultLogGib = 10;
export const lookForOldLogsEveryMs = minute;

export function logLimits(days = defaultLogDays, gib = defaultLogGib): LogLimits {
  return { ageMsMax: days * day, bytesMax: gib * GiB };
}

/** The first sequence that stays. The newest file always does: it is being written. */
export function firstKept(
  segments: readonly SegmentOnDisk[],
  { ageMsMax, bytesMax }: LogLimits,
  nowMs: number,
): bigint {
  let bytes = segments.reduce((sum, one) => sum + one.bytes, 0);
  for (const { firstSequence, bytes: own, writtenAtMs } of segments.slice(0, -1)) {
    if (bytes <= bytesMax && writtenAtMs >= nowMs - ageMsMax) return firstSequence;
    bytes -= own;
  }
  return segments.at(-1)?.firstSequence ?? 1n;
}
