/** What each project's tasks may connect to. Names of a customer's hosts are the customer's: sealed. */
import { protectTable } from "@biplane/kit/database";
import type { ColumnType, Kysely } from "kysely";
import type { Migration } from "kysely/migration";

export interface ProjectHostsTable {
  org_id: string;
  project_id: string;
  /** Sealed JSON: hosts as `formatAllowedHost` writes them. */
  hosts: ColumnType<Uint8Array, Uint8Array, Uint8Array>;
}

export interface EgressTables {
  project_hosts: ProjectHostsTable;
}

export function projectHostsMigration(role: string): Migration {
  return {
    async up(db: Kysely<unknown>) {
      await db.schema
        .createTable("project_hosts")
        .addColumn("org_id", "text", (column) => column.notNull())
        .addColumn("project_id", "text", (column) => column.notNull())
        .addColumn("hosts", "bytea", (column) => column.notNull())
        .addPrimaryKeyConstraint("project_hosts_key", ["org_id", "project_id"])
        .execute();
      await protectTable(db, "project_hosts", role);
    },
  };
}
