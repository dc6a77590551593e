/**
 * `biplane data restored`: a state folder that was put back from a backup becomes a new incarnation. The control plane takes
 * a snapshot from it, and counts as lost what that lacks; without it the link is refused as `rolled_back`.
 */
import { randomUUID } from "node:crypto";
import type { OrgId } from "@biplane/base";
import { openDatabase } from "@biplane/kit/database";
import { withFolder } from "../init.ts";
import { statePaths } from "../state.ts";
import { dataMigrations } from "../store/migrations.ts";
import { writeIncarnation } from "../store/outbox-rows.ts";
import type { DataSchema } from "../store/schema.ts";

/** The plane must not be running. Resolves to the new incarnation. */
export function beginIncarnation(
  state: string,
  org: OrgId,
  databaseUrl: string | undefined,
): Promise<string> {
  return withFolder(state, async () => {
    const location = { folder: statePaths(state).database, url: databaseUrl };
    const database = await openDatabase<DataSchema>(location, dataMigrations);
    const incarnation = randomUUID();
    try {
      await database.asOrg(org, (transaction) => writeIncarnation(transaction, org, incarnation));
    } finally {
      await database.close();
    }
    return incarnation;
  });
}
