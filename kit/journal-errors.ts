/** What can go wrong with a journal, in words for people. */
import { basename } from "node:path";
import { BiplaneError } from "@biplane/base";
import type { Segment } from "./journal-segment.ts";

export function damaged(segment: Segment, sequence: bigint): BiplaneError {
  return new BiplaneError(
    "data_loss",
    {
      what: `The journal segment ${basename(segment.path)} is damaged at sequence ${sequence}.`,
      why: "Its bytes are not the ones that were written, it is missing in part, or the key is another one.",
      next: "Check the disk and the key file, then restore the state folder from a backup.",
    },
    { reason: "journal_damaged" },
  );
}

export function dropped(name: string, sequence: bigint, first: bigint): BiplaneError {
  return new BiplaneError("out_of_range", {
    what: `The journal ${name} no longer has sequence ${sequence}.`,
    why: `Records before ${first} were dropped.`,
  });
}

export function writeFailed(name: string, cause: unknown): BiplaneError {
  const full = (cause as NodeJS.ErrnoException).code === "ENOSPC";
  return new BiplaneError(
    full ? "resource_exhausted" : "unavailable",
    {
      what: `The journal ${name} could not be written; nothing was recorded.`,
      why: full ? "The disk is full." : "The disk refused the write.",
      next: full ? "Free space on the disk, then try again." : "Check the disk, then try again.",
    },
    { cause, reason: full ? "disk_full" : "disk_failed" },
  );
}

export function broken(name: string, cause: unknown): BiplaneError {
  return new BiplaneError(
    "unavailable",
    {
      what: `The journal ${name} takes no more records.`,
      why: "A write failed and could not be undone.",
      next: "Check the disk, then restart this process.",
    },
    { cause, reason: "journal_broken" },
  );
}
