/** Tables of the organization's clusters, in the home cluster: who joined, and the codes by which others may. */
import { protectTable } from "@biplane/kit/database";
import type { ColumnType, Kysely } from "kysely";
import type { Migration } from "kysely/migration";

type Bytes = ColumnType<Uint8Array, Uint8Array, Uint8Array>;
type Milliseconds = ColumnType<number | string | bigint, number, number>;

export interface MemberTable {
  org_id: string;
  name: string;
  /** Sealed JSON: its entry in the list, and the certificate before its present one. */
  entry: Bytes;
  joined_at_ms: Milliseconds;
}

export interface JoinCodeTable {
  org_id: string;
  /** Keyed hash of the secret. */
  code_hash: string;
  cluster: string;
  /** Sealed JSON: where the cluster will be. */
  places: Bytes;
  expires_at_ms: Milliseconds;
  /** SHA-256 of the certificate request that used it; null while nobody has. */
  request_hash: string | null;
}

export interface ClusterTables {
  clusters: MemberTable;
  join_codes: JoinCodeTable;
}

export function clustersMigration(role: string): Migration {
  return {
    async up(db: Kysely<unknown>) {
      await db.schema
        .createTable("clusters")
        .addColumn("org_id", "text", (column) => column.notNull())
        .addColumn("name", "text", (column) => column.notNull())
        .addColumn("entry", "bytea", (column) => column.notNull())
        .addColumn("joined_at_ms", "bigint", (column) => column.notNull())
        .addPrimaryKeyConstraint("clusters_key", ["org_id", "name"])
        .execute();
      await db.schema
        .createTable("join_codes")
        .addColumn("org_id", "text", (column) => column.notNull())
        .addColumn("code_hash", "text", (column) => column.notNull())
        .addColumn("cluster", "text", (column) => column.notNull())
        .addColumn("places", "bytea", (column) => column.notNull())
        .addColumn("expires_at_ms", "bigint", (column) => column.notNull())
        .addColumn("request_hash", "text")
        .addPrimaryKeyConstraint("join_codes_key", ["org_id", "code_hash"])
        .execute();
      for (const table of ["clusters", "join_codes"]) await protectTable(db, table, role);
    },
  };
}
