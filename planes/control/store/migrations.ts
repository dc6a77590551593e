/** Brings a database to the present schema, step by step. Steps that were released never change. */
import { createRoleIfAbsent, type MigrationSet, protectTable } from "@biplane/kit";
import type { Kysely } from "kysely";
import { createDocumentTable, createOrganizationTables, moveTokenKeys } from "./tables-organization.ts";
import { createWorkTables } from "./tables-work.ts";

const applicationRole = "biplane_control";

export const controlMigrations: MigrationSet = {
  applicationRole,
  migrations: {
    "2026-11-21-first": {
      async up(kysely: Kysely<unknown>) {
        await createRoleIfAbsent(kysely, applicationRole);
        const tables = [...(await createOrganizationTables(kysely)), ...(await createWorkTables(kysely))];
        for (const table of tables) await protectTable(kysely, table, applicationRole);
      },
    },
    "2026-11-25-membership": { up: moveTokenKeys },
    "2026-11-25-documents": {
      async up(kysely: Kysely<unknown>) {
        await protectTable(kysely, await createDocumentTable(kysely), applicationRole);
      },
    },
    "2026-11-25-metadata-regions": {
      async up(kysely: Kysely<unknown>) {
        await kysely.schema.alterTable("organization").addColumn("metadata_regions", "text").execute();
        await kysely.schema
          .alterTable("project")
          .addColumn("regions", "text", (column) => column.notNull().defaultTo(""))
          .execute();
      },
    },
    "2026-11-25-no-commands": {
      async up(kysely: Kysely<unknown>) {
        await kysely.schema.dropTable("command").execute();
      },
    },
    "2026-11-26-organization-regions": {
      async up(kysely: Kysely<unknown>) {
        await kysely.schema
          .alterTable("organization")
          .addColumn("regions", "text", (column) => column.notNull().defaultTo(""))
          .execute();
      },
    },
  },
};
