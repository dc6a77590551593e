/** Every row of a control plane's database, of all tables, its sealed columns opened with its own key. */
import { type ControlTable, columnAt } from "@biplane/classification";
import { sql } from "kysely";
import type { ControlTransaction, Place, Store } from "../../planes/control/store/open.ts";

export type Row = Readonly<Record<string, unknown>>;

export interface OpenedTable {
  readonly table: string;
  readonly columns: readonly string[];
  /** By the names that the database has; sealed columns hold their text. */
  readonly rows: readonly Row[];
}

export async function openedRows(store: Store, org: string): Promise<readonly OpenedTable[]> {
  return store.asOrg(org, async (transaction) => {
    const { rows: tables } = await sql<{ name: string }>`
      select c.relname as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where c.relkind = 'r' and n.nspname = 'public' and c.relrowsecurity order by 1`.execute(transaction);
    const found: OpenedTable[] = [];
    for (const { name } of tables) {
      const keys = await primaryKey(transaction, name);
      const { rows } = await sql<Row>`select * from ${sql.table(name)}`.execute(transaction);
      const opened = rows.map((row) => openRow(store, org, name, keys, row));
      found.push({ table: name, columns: await columnsOf(transaction, name), rows: opened });
    }
    return found;
  });
}

async function columnsOf(transaction: ControlTransaction, table: string): Promise<string[]> {
  const { rows } = await sql<{ name: string }>`
    select column_name as name from information_schema.columns
    where table_schema = 'public' and table_name = ${table}`.execute(transaction);
  return rows.map(({ name }) => name);
}

/** Below the organization, in order: what a sealed value is bound to. */
async function primaryKey(transaction: ControlTransaction, table: string): Promise<string[]> {
  const { rows } = await sql<{ name: string }>`
    select a.attname as name from pg_index i
    join unnest(i.indkey) with ordinality as k(attnum, position) on true
    join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
    where i.indisprimary and i.indrelid = ${table}::regclass order by k.position`.execute(transaction);
  return rows.map(({ name }) => name).filter((name) => name !== "org_id");
}

function openRow(store: Store, org: string, table: string, keys: readonly string[], row: Row): Row {
  const key = keys.map((name) => keyText(row[name]));
  const entries = Object.entries(row).map(([name, value]) => {
    const isSealed = columnAt(table, name)?.kept === "sealed" && value instanceof Uint8Array;
    if (!isSealed) return [name, value] as const;
    const place = { org, key, table: table as ControlTable, column: name.replace(/_sealed$/, "") };
    return [name, store.open(place as Place, value)] as const;
  });
  return Object.fromEntries(entries);
}

function keyText(value: unknown): string {
  return value instanceof Uint8Array ? Buffer.from(value).toString("hex") : String(value);
}
