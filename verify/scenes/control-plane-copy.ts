/**
 * The control plane's state as at one moment, to be read with its own keys: every table decrypted, every audit record.
 * Plane internals, used to look into what the provider holds.
 */
import { join } from "node:path";
import { createLogger } from "@biplane/kit/logging";
import { openState } from "../../planes/control/state.ts";
import type { Subject } from "../frame/subject.ts";
import { frozenCopy } from "../machine/freeze.ts";
import { controlPlaneRows, type TableText } from "../search/control-plane-rows.ts";
import { type OpenedTable, openedRows } from "../search/opened-rows.ts";
import { plantedRun } from "./planted-run.ts";

export interface ControlPlaneCopy {
  readonly folder: string;
  readonly tables: readonly TableText[];
}

/** After the planted run, which it has to know of. */
export async function controlPlaneCopy(subject: Subject): Promise<ControlPlaneCopy> {
  await subject.scene(plantedRun);
  const { pid, state, databaseUrl } = subject.planes.control;
  const folder = join(subject.folder, "control-copy");
  await frozenCopy(pid, state, folder);
  const { org } = subject.connection.profile;
  return { folder, tables: await controlPlaneRows(folder, org, databaseUrl) };
}

/** Seals a text into a column of the copy, as a control plane that kept customer data would. */
export async function plantInColumn(
  subject: Subject,
  folder: string,
  text: string,
): Promise<readonly TableText[]> {
  const { org, cluster } = subject.connection.profile;
  const log = createLogger({ component: "verify", level: "silent" });
  const state = await openState({ folder, databaseUrl: undefined, log });
  try {
    const place = { org, table: "cluster", column: "router_address", key: [cluster] } as const;
    const router_address_sealed = state.store.seal(place, text);
    await state.store.asOrg(org, (transaction) =>
      transaction.updateTable("cluster").set({ router_address_sealed }).where("name", "=", cluster).execute(),
    );
  } finally {
    await state.close();
  }
  return controlPlaneRows(folder, org);
}

/** Every row of it, sealed columns opened. */
export async function openedTables(subject: Subject): Promise<readonly OpenedTable[]> {
  const { folder } = await subject.scene(controlPlaneCopy);
  const log = createLogger({ component: "verify", level: "silent" });
  const state = await openState({ folder, databaseUrl: subject.planes.control.databaseUrl, log });
  try {
    return await openedRows(state.store, subject.connection.profile.org);
  } finally {
    await state.close();
  }
}
