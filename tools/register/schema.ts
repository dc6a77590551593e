/** Columns of both planes' databases as their migrations make them, in an embedded database that lives in memory. */
import { createHash } from "node:crypto";
import { existsSync, globSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import type { RealColumn } from "@biplane/classification/check";
import type { MigrationSet } from "@biplane/kit/database";
import { readColumns } from "@biplane/kit/table-columns";
import { PGlite } from "@electric-sql/pglite";
import { Kysely, PGliteDialect } from "kysely";
import { Migrator } from "kysely/migration";
import { controlMigrations } from "../../planes/control/store/migrations.ts";
import { dataMigrations } from "../../planes/data/store/migrations.ts";

export interface Schemas {
  readonly control: readonly RealColumn[];
  readonly data: readonly RealColumn[];
}

/** Read again only where a source that makes tables has changed: it takes seconds. */
export async function readSchemas(template: string, cache: string): Promise<Schemas> {
  const stamp = stampOf(["planes/*/store/*.ts", "kit/database.ts", "package-lock.json"]);
  const kept = existsSync(cache)
    ? (JSON.parse(readFileSync(cache, "utf8")) as Schemas & { stamp: string })
    : undefined;
  if (kept?.stamp === stamp) return kept;
  const archive = new Blob([readFileSync(template)]);
  const [control, data] = await Promise.all([
    columnsOf(archive, controlMigrations),
    columnsOf(archive, dataMigrations),
  ]);
  mkdirSync(dirname(cache), { recursive: true });
  writeFileSync(cache, JSON.stringify({ stamp, control, data }));
  return { control, data };
}

function stampOf(patterns: readonly string[]): string {
  const hash = createHash("sha256");
  for (const path of globSync([...patterns])
    .map(String)
    .sort())
    hash.update(path).update(readFileSync(path));
  return hash.digest("hex");
}

async function columnsOf(archive: Blob, { migrations }: MigrationSet): Promise<readonly RealColumn[]> {
  const pglite = await PGlite.create({ loadDataDir: archive });
  const kysely = new Kysely<unknown>({ dialect: new PGliteDialect({ pglite }) });
  try {
    const migrator = new Migrator({ db: kysely, provider: { getMigrations: async () => migrations } });
    const { error } = await migrator.migrateToLatest();
    if (error !== undefined) throw error;
    return await readColumns(kysely);
  } finally {
    await kysely.destroy();
  }
}
