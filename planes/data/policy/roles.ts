/** Which roles there are, for whoever gives one to somebody. */
import type { OrgId } from "@biplane/base";
import { isRoleName } from "@biplane/identity";
import type { Transaction } from "kysely";
import type { DataSchema } from "../store/schema.ts";

/** Built in, or one of the organization's own. */
export async function isRole(
  transaction: Transaction<DataSchema>,
  org: OrgId,
  name: string,
): Promise<boolean> {
  if (isRoleName(name)) return true;
  const found = await transaction
    .selectFrom("policy_roles")
    .select("name")
    .where((where) => where.and({ org_id: org, name }))
    .executeTakeFirst();
  return found !== undefined;
}
