/** What callers are told when a transaction failed: nothing of theirs is on disk, and whether a repeat can help. */
import { BiplaneError } from "@biplane/base";

/** PostgreSQL's class 53, https://www.postgresql.org/docs/current/errcodes-appendix.html */
const noResources = /^53/;

export function describeCommitFailure(cause: unknown): BiplaneError {
  const code = errorCode(cause);
  if (noResources.test(code) || code === "ENOSPC") {
    return new BiplaneError(
      "resource_exhausted",
      {
        what: "The data plane could not store the change.",
        why: "Its database has no room left.",
        next: "Free disk space on the data plane, then repeat the request.",
      },
      { cause, reason: "database_full" },
    );
  }
  return new BiplaneError(
    "unavailable",
    { what: "The data plane could not store the change.", next: "Repeat the request." },
    { cause, reason: "database_unavailable" },
  );
}

function errorCode(cause: unknown): string {
  const code = (cause as { code?: unknown } | null | undefined)?.code;
  return typeof code === "string" ? code : "";
}
