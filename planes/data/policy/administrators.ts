/** An organization always has somebody who administers it: whoever would end that is refused, and undone. */
import { BiplaneError, type OrgId } from "@biplane/base";
import type { PolicyTransaction } from "./policy.ts";

export interface Keeping {
  readonly transaction: PolicyTransaction;
  readonly org: OrgId;
  readonly nowMs: number;
}

/**
 * Does `work`, which takes something away, and throws where by that nobody is left that is Admin of the whole
 * organization and may act. Members of groups do not count: nobody here knows whether there is one.
 */
export async function keepAdministrator<T>(keeping: Keeping, work: () => Promise<T>): Promise<T> {
  // Of two at once, each of which would leave the other's, the second one waits here and then sees what is left.
  await administrators(keeping).forUpdate().execute();
  const before = await areThereActive(keeping);
  const result = await work();
  if (before && !(await areThereActive(keeping))) throw lastAdministrator();
  return result;
}

async function areThereActive(keeping: Keeping): Promise<boolean> {
  const found = await administrators(keeping)
    .innerJoin("identity_subjects as who", (join) =>
      join.onRef("who.org_id", "=", "held.org_id").onRef("who.subject", "=", "held.subject"),
    )
    .where("who.disabled_at_ms", "is", null)
    .where((where) =>
      where.or([where("who.expires_at_ms", "is", null), where("who.expires_at_ms", ">", keeping.nowMs)]),
    )
    .limit(1)
    .execute();
  return found.length > 0;
}

function administrators({ transaction, org }: Keeping) {
  return transaction
    .selectFrom("identity_assignments as held")
    .select("held.subject")
    .where("held.org_id", "=", org)
    .where("held.principal_kind", "=", "subject")
    .where("held.role", "=", "Admin")
    .where("held.project_id", "=", "")
    .where("held.domain_id", "=", "")
    .orderBy("held.subject");
}

function lastAdministrator(): BiplaneError {
  return new BiplaneError(
    "failed_precondition",
    {
      what: "Nobody would be left who administers the organization.",
      why: "This is the last person or program that is Admin of the whole organization and may act.",
      next: "Make somebody else one first: biplane create assignment --user USER --role Admin",
    },
    { reason: "last_administrator" },
  );
}
