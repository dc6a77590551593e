/** Reads every row of a stopped control plane's database, sealed columns opened with its own key. */

import { createLogger } from "@biplane/kit/logging";
import { sql } from "kysely";
import { openState } from "../../planes/control/state.ts";

export interface TableText {
  readonly table: string;
  readonly text: string;
}

type Row = Record<string, unknown>;

/** `folder` is the control plane's state; without a URL the database is the embedded one. */
export async function controlPlaneRows(
  folder: string,
  org: string,
  databaseUrl?: string,
): Promise<TableText[]> {
  const log = createLogger({ component: "search", level: "silent" });
  const state = await openState({ folder, databaseUrl, log });
  try {
    return await state.store.asOrg(org, async (transaction) => {
      const { rows: tables } = await sql<{ name: string }>`
        select c.relname as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where c.relkind = 'r' and n.nspname = 'public' and c.relrowsecurity`.execute(transaction);
      const found: TableText[] = [];
      for (const { name } of tables) {
        const keys = await primaryKey(name);
        const { rows } = await sql<Row>`select * from ${sql.table(name)}`.execute(transaction);
        const open = (row: Row) => openRow(row, name, keys);
        found.push({ table: name, text: rows.map((row) => JSON.stringify(open(row))).join("\n") });
      }
      return found;

      async function primaryKey(table: string): Promise<string[]> {
        const { rows } = await sql<{ column: string }>`
          select a.attname as column from pg_index i
          join unnest(i.indkey) with ordinality as k(attnum, position) on true
          join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
          where i.indisprimary and i.indrelid = ${table}::regclass order by k.position`.execute(transaction);
        return rows.map(({ column }) => column).filter((column) => column !== "org_id");
      }
    });
  } finally {
    await state.close();
  }

  function openRow(row: Row, table: string, keys: readonly string[]): Row {
    const entries = Object.entries(row).map(([column, value]) => {
      if (!(value instanceof Uint8Array)) return [column, String(value)];
      if (!column.endsWith("_sealed")) return [column, Buffer.from(value).toString("latin1")];
      const key = keys.map((name) => keyText(row[name]));
      return [
        column,
        state.store.open({ org, table: table as never, column: column.replace(/_sealed$/, ""), key }, value),
      ];
    });
    return Object.fromEntries(entries);
  }
}

function keyText(value: unknown): string {
  return value instanceof Uint8Array ? Buffer.from(value).toString("hex") : String(value);
}
