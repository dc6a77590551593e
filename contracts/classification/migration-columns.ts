/** Tables that the migrations keep for themselves, in both planes' databases. They hold no tenant's rows. */
import { valueRules } from "@biplane/control-wire";
import { type Columns, plain } from "./columns.ts";

const { line } = valueRules;

export const migrationColumns = {
  kysely_migration: { name: plain("public", line), timestamp: plain("public", line) },
  kysely_migration_lock: { id: plain("public", line), is_locked: plain("public") },
} as const satisfies Columns;
