import { rootAction } from "@biplane/base";
import type { AdmissionContext } from "./admit.ts";
import type { RunKey } from "./rows.ts";

/**
 * A pending run was never admitted in time: its name is free again (rule of state 3). One whose intent was accepted
 * may still be pending over there; one whose root action is known has begun, and a withdrawal must not erase it.
 */
export async function withdrawRun(
  { transaction, org, cluster }: AdmissionContext,
  key: RunKey,
): Promise<void> {
  const { name: run, ...scope } = key;
  const root = { org_id: org, ...scope, run, name: rootAction };
  await transaction
    .deleteFrom("run")
    .where((where) => where.and({ org_id: org, cluster, ...key }))
    .where("fence", "is not", null)
    .where(({ not, exists, selectFrom }) =>
      not(
        exists(
          selectFrom("action")
            .select("name")
            .where((where) => where.and(root)),
        ),
      ),
    )
    .execute();
}
