import { IntentOutcome } from "@biplane/control-wire";
import type { AdmissionContext } from "./admit.ts";
import type { RunKey } from "./rows.ts";

/**
 * A pending run was never admitted in time: its name is free again (rule of state 3). A run whose intent was accepted
 * has begun, and a late withdrawal of its name must not erase it.
 */
export async function withdrawRun(
  { transaction, org, cluster }: AdmissionContext,
  key: RunKey,
): Promise<void> {
  await transaction
    .deleteFrom("run")
    .where((where) => where.and({ org_id: org, cluster, ...key }))
    .where((where) =>
      where.or([where("intent_outcome", "is", null), where("intent_outcome", "!=", IntentOutcome.ACCEPTED)]),
    )
    .where("fence", "is not", null)
    .execute();
}
