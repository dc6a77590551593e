/** What callers are told when a transaction failed, and whether a repeat can help. */
import { BiplaneError } from "@biplane/base";
import type { Database } from "@biplane/kit/database";

/** The database with failures of its own turned into ones for people; what the work itself refused stays as it is. */
export function withReadableFailures<Schema>(database: Database<Schema>): Database<Schema> {
  return {
    ...database,
    asOrg: async (org, work) => {
      try {
        return await database.asOrg(org, work);
      } catch (cause) {
        if (cause instanceof BiplaneError) throw cause;
        const what = "The data plane's database did not answer.";
        const text = { what, next: "Repeat the request." };
        throw new BiplaneError("unavailable", text, { cause, reason: "database_unavailable" });
      }
    },
  };
}

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
