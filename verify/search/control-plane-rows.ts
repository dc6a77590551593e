/** Reads every row of a stopped control plane's database as text, sealed columns opened with its own key. */
import { createLogger } from "@biplane/kit/logging";
import { openState } from "../../planes/control/state.ts";
import { openedRows, type Row } from "./opened-rows.ts";

export interface TableText {
  readonly table: string;
  readonly text: string;
}

/** `folder` is the control plane's state; without a URL the database is the embedded one. */
export async function controlPlaneRows(
  folder: string,
  org: string,
  databaseUrl?: string,
): Promise<TableText[]> {
  const log = createLogger({ component: "search", level: "silent" });
  const state = await openState({ folder, databaseUrl, log });
  try {
    const tables = await openedRows(state.store, org);
    return tables.map(({ table, rows }) => ({ table, text: rows.map(textOf).join("\n") }));
  } finally {
    await state.close();
  }
}

function textOf(row: Row): string {
  const entries = Object.entries(row).map(([column, value]) => [
    column,
    value instanceof Uint8Array ? Buffer.from(value).toString("latin1") : String(value),
  ]);
  return JSON.stringify(Object.fromEntries(entries));
}
