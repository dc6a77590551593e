/**
 * One way to a database for both planes: PGlite in a folder by default, PostgreSQL by URL. Both speak Kysely's
 * PostgreSQL dialect. Every transaction of tenants' data names its organization, which row-level security checks.
 */
import { BiplaneError } from "@biplane/base";
import { type CompiledQuery, type Dialect, Kysely, PostgresDialect, sql, type Transaction } from "kysely";
import { type Migration, Migrator } from "kysely/migration";
import pg from "pg";
import { defer, openEmbeddedDatabase } from "./embedded-database.ts";
import { recordQueries } from "./recorded-queries.ts";

export interface DatabaseLocation {
  /** `postgres://…`; used where given. */
  readonly url?: string | undefined;
  /** Folder of the embedded database. */
  readonly folder: string;
}

export interface Database<Schema> {
  readonly kysely: Kysely<Schema>;
  readonly kind: "pglite" | "postgres";
  /** Runs in one transaction as the application role, which sees rows of this organization only. */
  asOrg<T>(org: string, work: (transaction: Transaction<Schema>) => Promise<T>): Promise<T>;
  /**
   * The same for work that only writes and needs no result: its statements are collected and go to the database together
   * when it returns, so that each of them does not cost a way there and back. Reading a result is an error.
   */
  writeAsOrg(org: string, work: (transaction: Transaction<Schema>) => Promise<void>): Promise<void>;
  close(): Promise<void>;
}

export interface MigrationSet {
  /** Role that owns nothing, which row-level security binds. */
  readonly applicationRole: string;
  readonly migrations: Record<string, Migration>;
}

export async function openDatabase<Schema>(
  location: DatabaseLocation,
  migrations: MigrationSet,
): Promise<Database<Schema>> {
  const embedded = location.url === undefined ? await openEmbeddedDatabase(location.folder) : undefined;
  const kysely = new Kysely<Schema>({ dialect: embedded?.dialect ?? postgresDialect(location.url!) });
  await migrate(kysely, migrations.migrations);
  const enter = (org: string) => roleOf(kysely, migrations.applicationRole, org);
  return {
    kysely,
    kind: embedded === undefined ? "postgres" : "pglite",
    asOrg: (org, work) =>
      kysely.transaction().execute(async (transaction) => {
        if (embedded === undefined) await transaction.executeQuery(enter(org));
        else embedded.runWithNext(enter(org));
        return work(transaction);
      }),
    writeAsOrg: async (org, work) => {
      const queries = [enter(org), ...(await recordQueries(work))];
      await (embedded === undefined ? runTransaction(kysely, queries) : embedded.runTransaction(queries));
    },
    close: () => kysely.destroy(),
  };
}

/**
 * Runs a statement whose result nobody reads. To the embedded database it goes with the transaction's next one, at the latest
 * with its commit, whose failure its own is then: that spares a way there and back.
 */
export async function executeLater<Schema>(
  transaction: Transaction<Schema>,
  query: CompiledQuery,
): Promise<void> {
  await transaction.executeQuery(defer(query));
}

/** Role and organization of a transaction; they end with it. */
function roleOf<Schema>(kysely: Kysely<Schema>, role: string, org: string): CompiledQuery {
  return sql`select set_config('role', ${role}, true), set_config('biplane.org', ${org}, true)`.compile(
    kysely,
  );
}

function runTransaction<Schema>(kysely: Kysely<Schema>, queries: readonly CompiledQuery[]): Promise<void> {
  return kysely.transaction().execute(async (transaction) => {
    for (const query of queries) await transaction.executeQuery(query);
  });
}

/** Statements that put a table under row-level security, for use in migrations. The owner is bound as well. */
export async function protectTable(kysely: Kysely<unknown>, table: string, role: string): Promise<void> {
  const name = sql.id(table);
  await sql`alter table ${name} enable row level security`.execute(kysely);
  await sql`alter table ${name} force row level security`.execute(kysely);
  await sql`create policy by_organization on ${name} to ${sql.id(role)}
    using (org_id = current_setting('biplane.org', true))
    with check (org_id = current_setting('biplane.org', true))`.execute(kysely);
  await sql`grant select, insert, update, delete on ${name} to ${sql.id(role)}`.execute(kysely);
}

export async function createRoleIfAbsent(kysely: Kysely<unknown>, role: string): Promise<void> {
  const { rows } = await sql`select 1 from pg_roles where rolname = ${role}`.execute(kysely);
  if (rows.length === 0) await sql`create role ${sql.id(role)} nologin`.execute(kysely);
  await sql`grant ${sql.id(role)} to current_user`.execute(kysely);
}

async function migrate<Schema>(kysely: Kysely<Schema>, migrations: Record<string, Migration>): Promise<void> {
  const migrator = new Migrator({ db: kysely, provider: { getMigrations: async () => migrations } });
  const { error } = await migrator.migrateToLatest();
  if (error !== undefined) {
    throw new BiplaneError("failed_precondition", "The database could not be brought to this version.", {
      cause: error,
    });
  }
}

function postgresDialect(url: string): Dialect {
  return new PostgresDialect({ pool: new pg.Pool(poolOptions(url)) });
}

function poolOptions(url: string): pg.PoolConfig {
  return {
    connectionString: url,
    max: 8,
    connectionTimeoutMillis: 10_000,
    idleTimeoutMillis: 30_000,
    types: { getTypeParser: parserOf },
  };
}

/** 64-bit integers arrive as numbers, as PGlite gives them; `pg` alone would give text. None of ours reaches 2^53. */
function parserOf(type: number, format?: "text" | "binary") {
  if (type === pg.types.builtins.INT8) return Number;
  return pg.types.getTypeParser(type, format as "text");
}
