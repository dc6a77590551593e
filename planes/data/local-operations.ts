/** What a running plane does for whoever may read its state folder: errands that need what it holds open. */
import type { OrgId } from "@biplane/base";
import { BiplaneError } from "@biplane/base";
import type { AcceptedRestore } from "@biplane/kit/audit-log";
import { findLocalOperations, type LocalOperations } from "@biplane/kit/local-operations";
import { identityOperations } from "./backup/backup.ts";
import type { Stores } from "./stores.ts";

const acceptRestoreOperation = "accept-restore";

export function localOperations(org: OrgId, { database, witness }: Stores): LocalOperations {
  const identity = identityOperations(org, database);
  return (operation, parameters) =>
    operation === acceptRestoreOperation ? witness.acceptRestore() : identity(operation, parameters);
}

/** The control plane was restored from a backup: its audit log is to be witnessed from where it is now. */
export async function acceptRestore(state: string): Promise<AcceptedRestore> {
  const running = await findLocalOperations(state);
  if (running !== undefined) return (await running(acceptRestoreOperation, {})) as AcceptedRestore;
  throw new BiplaneError("failed_precondition", {
    what: `No data plane is running on ${state}.`,
    why: "Only a running one has heard of the control plane's log.",
    next: "Start it with `biplane data start`, or give another folder by --state.",
  });
}
