/** Drops audit records that are older than they have to be kept, once a day; how much went is on record in the log. */
import { hour } from "@biplane/base";
import type { Clock } from "../clock.ts";
import type { Closeable } from "../lifecycle.ts";
import type { Logger } from "../logging.ts";
import type { AuditLog } from "./log.ts";

const everyMs = 24 * hour;

export function keepRecordsFor(log: AuditLog, keptMs: number, clock: Clock, logger: Logger): Closeable {
  const drop = () => {
    dropOlderThan(log, clock.now() - keptMs).catch((error: unknown) => {
      logger.error({ event: "audit_retention_failed", error }, "old audit records could not be dropped");
    });
  };
  const timer = setInterval(drop, everyMs);
  timer.unref();
  drop();
  return { close: async () => clearInterval(timer) };
}

/** Returns how many records went. Records are about in the order of their times; whole files go. */
export async function dropOlderThan(log: AuditLog, timeMs: number): Promise<number> {
  let [low, high] = [log.firstIndex, log.size];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if ((await timeOf(log, middle)) < timeMs) low = middle + 1;
    else high = middle;
  }
  return log.dropBefore(low);
}

async function timeOf(log: AuditLog, index: number): Promise<number> {
  for await (const { atMs } of log.readRecords(index)) return atMs;
  return Number.POSITIVE_INFINITY;
}
