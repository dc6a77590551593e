/** What a running plane does for whoever may read its state folder: errands that need what it holds open. */
import type { OrgId } from "@biplane/base";
import { BiplaneError } from "@biplane/base";
import type { AcceptedRestore } from "@biplane/kit/audit-log";
import { findLocalOperations, type LocalOperations } from "@biplane/kit/local-operations";
import { identityOperations } from "./backup/backup.ts";
import type { RootRotation, RootState } from "./identity/root-rotation.ts";
import type { Stores } from "./stores.ts";

const acceptRestoreOperation = "accept-restore";
const rotateRootOperation = "rotate-root";
const retireRootOperation = "retire-root";

export function localOperations(
  org: OrgId,
  { database, witness }: Stores,
  rotation: () => RootRotation,
): LocalOperations {
  const identity = identityOperations(org, database);
  const own: Readonly<Record<string, () => Promise<object>>> = {
    [acceptRestoreOperation]: () => witness.acceptRestore(),
    [rotateRootOperation]: () => rotation().rotate(),
    [retireRootOperation]: () => rotation().retire(),
  };
  return async (operation, parameters) =>
    Object.hasOwn(own, operation) ? own[operation]!() : identity(operation, parameters);
}

/** The control plane was restored from a backup: its audit log is to be witnessed from where it is now. */
export async function acceptRestore(state: string): Promise<AcceptedRestore> {
  const why = "Only a running one has heard of the control plane's log.";
  return (await ask(state, acceptRestoreOperation, why)) as AcceptedRestore;
}

/** `isRetiring`: the root before is to end. */
export async function rotateRoot(state: string, isRetiring: boolean): Promise<RootState> {
  const operation = isRetiring ? retireRootOperation : rotateRootOperation;
  const why = "Only a running one can tell the others of a new root.";
  return (await ask(state, operation, why)) as RootState;
}

async function ask(state: string, operation: string, why: string): Promise<object> {
  const running = await findLocalOperations(state);
  if (running !== undefined) return running(operation, {});
  throw new BiplaneError("failed_precondition", {
    what: `No data plane is running on ${state}.`,
    why,
    next: "Start it with `biplane data start`, or give another folder by --state.",
  });
}
