/** Times that others give. */
import { BiplaneError } from "@biplane/base";

/** The end of year 9999, the last one that timestamps have. */
const timeMsMax = 253_402_300_799_999;

/** Refuses what no calendar has: no column, no timestamp and no peer could take it. */
export function requireTime(atMs: number, what: string): void {
  if (atMs >= 0 && atMs <= timeMsMax) return;
  throw new BiplaneError("invalid_argument", {
    what: `${what} is no time.`,
    why: "It is between the years 1970 and 9999.",
    next: "Send a time that your clock can show.",
  });
}
