/**
 * One way to a database for both planes: PGlite in a folder by default, PostgreSQL by URL. Both speak Kysely's
 * PostgreSQL dialect. Every transaction of tenants' data names its organization, which row-level security checks.
 */
import { fdatasyncSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { BiplaneError } from "@biplane/base";
import { PGlite } from "@electric-sql/pglite";
import { NodeFS } from "@electric-sql/pglite/nodefs";
import { type Driver, Kysely, PGliteDialect, PostgresDialect, sql, type Transaction } from "kysely";
import { type Migration, Migrator } from "kysely/migration";
import pg from "pg";

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
  const kind = location.url === undefined ? "pglite" : "postgres";
  const kysely =
    location.url === undefined
      ? await openEmbedded<Schema>(location.folder)
      : new Kysely<Schema>({
          dialect: new PostgresDialect({ pool: new pg.Pool(poolOptions(location.url)) }),
        });
  await migrate(kysely, migrations.migrations);
  const role = migrations.applicationRole;
  return {
    kysely,
    kind,
    asOrg: (org, work) =>
      kysely.transaction().execute(async (transaction) => {
        await sql`select set_config('role', ${role}, true), set_config('biplane.org', ${org}, true)`.execute(
          transaction,
        );
        return work(transaction);
      }),
    close: () => kysely.destroy(),
  };
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

/** PGlite has no `fsync` of its own and starts PostgreSQL without it: a power cut would lose acknowledged rows. */
class SyncingNodeFS extends NodeFS {
  override async init(...args: Parameters<NodeFS["init"]>): ReturnType<NodeFS["init"]> {
    const [database, options] = args;
    const { emscriptenOpts } = await super.init(database, options);
    const preRun = [
      ...((emscriptenOpts.preRun as ((module: EmscriptenModule) => void)[]) ?? []),
      installSync,
    ];
    return { emscriptenOpts: { ...emscriptenOpts, preRun } } as Awaited<ReturnType<NodeFS["init"]>>;
  }
}

interface EmscriptenModule {
  FS: { filesystems: { NODEFS: { stream_ops: { fsync?: (stream: { nfd: number }) => number } } } };
  NODEFS?: { stream_ops: { fsync?: (stream: { nfd: number }) => number } };
}

function installSync(module: EmscriptenModule): void {
  const nodeFs = module.NODEFS ?? module.FS.filesystems.NODEFS;
  nodeFs.stream_ops.fsync = (stream) => {
    fdatasyncSync(stream.nfd);
    return 0;
  };
}

async function openEmbedded<Schema>(folder: string): Promise<Kysely<Schema>> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const startParams = PGlite.defaultStartParams.filter((parameter) => parameter !== "-F");
  const database = await PGlite.create({
    fs: new SyncingNodeFS(folder),
    startParams: [...startParams, "-c", "wal_sync_method=fsync"],
  });
  return new Kysely<Schema>({ dialect: new SerialPGliteDialect({ pglite: database }) });
}

/**
 * Kysely's PGlite driver keeps one connection and remembers one transaction on it: two transactions at once would
 * commit each other's work or wait for ever. Here each takes its turn.
 */
class SerialPGliteDialect extends PGliteDialect {
  override createDriver(): Driver {
    const driver = super.createDriver();
    const acquire = driver.acquireConnection.bind(driver);
    const release = driver.releaseConnection.bind(driver);
    const turns = new Turns();
    driver.acquireConnection = async (options) => {
      await turns.take();
      return acquire(options);
    };
    driver.releaseConnection = async (connection, options) => {
      await release(connection, options);
      turns.pass();
    };
    return driver;
  }
}

/** First come, first served. */
class Turns {
  #taken = false;
  readonly #waiting: (() => void)[] = [];

  take(): Promise<void> {
    if (this.#taken) return new Promise((resolve) => this.#waiting.push(resolve));
    this.#taken = true;
    return Promise.resolve();
  }

  pass(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#taken = false;
    else next();
  }
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
