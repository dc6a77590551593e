/**
 * The thread that PostgreSQL in WebAssembly runs in: it waits for the disk at every commit, and a process that also
 * serves requests must not wait with it.
 */
import { fdatasyncSync } from "node:fs";
import { type MessagePort, parentPort, workerData } from "node:worker_threads";
import { PGlite } from "@electric-sql/pglite";
import { NodeFS } from "@electric-sql/pglite/nodefs";
import { prepareDatabaseFolder } from "./embedded-database-template.ts";
import { EmbeddedSession, type Statement, type StatementResult } from "./embedded-session.ts";

/**
 * Statements that go one after the other; the answer is the last one's, or the first failure. A transaction is begun and
 * ended around its statements, with an answer that has no rows.
 */
export type ThreadRequest =
  | { readonly id: number; readonly statements: readonly Statement[] }
  | { readonly id: number; readonly transaction: readonly Statement[] }
  | { readonly id: number; readonly close: true };

export interface ThreadFailure {
  readonly message: string;
  /** SQLSTATE, and what PostgreSQL says of the place. */
  readonly code: string | undefined;
  readonly constraint: string | undefined;
  readonly table: string | undefined;
}

export type ThreadAnswer =
  | ({ readonly id: number } & StatementResult)
  | { readonly id: number; readonly failure: ThreadFailure };

/** Opens the database in a folder with every commit on the disk before it is answered. */
export async function openSyncedDatabase(folder: string): Promise<PGlite> {
  await prepareDatabaseFolder(folder);
  const startParams = PGlite.defaultStartParams.filter((parameter) => parameter !== "-F");
  const database = await PGlite.create({
    fs: new SyncingNodeFS(folder),
    startParams: [...startParams, "-c", "wal_sync_method=fsync"],
  });
  await dropTemplates(database);
  return database;
}

/**
 * PostgreSQL counts transactions from the oldest row of all databases, and nothing can open its templates here to vacuum
 * them: with them it would come to the end of its numbers however well the own database is looked after.
 */
async function dropTemplates(database: PGlite): Promise<void> {
  const { rows } = await database.query<{ name: string }>(
    "select quote_ident(datname) as name from pg_database where datname <> current_database()",
  );
  if (rows.length === 0) return;
  await database.exec("update pg_database set datistemplate = false");
  for (const { name } of rows) await database.exec(`drop database ${name}`);
}

/** PGlite has no `fsync` of its own and starts PostgreSQL without it: a power cut would lose acknowledged rows. */
class SyncingNodeFS extends NodeFS {
  override async init(...args: Parameters<NodeFS["init"]>): ReturnType<NodeFS["init"]> {
    const [database, options] = args;
    const { emscriptenOpts } = await super.init(database, options);
    const before = (emscriptenOpts.preRun as ((module: EmscriptenModule) => void)[]) ?? [];
    return { emscriptenOpts: { ...emscriptenOpts, preRun: [...before, installSync] } } as Awaited<
      ReturnType<NodeFS["init"]>
    >;
  }
}

type SyncableFileSystem = { stream_ops: { fsync?: (stream: { nfd: number }) => number } };

interface EmscriptenModule {
  FS: { filesystems: { NODEFS: SyncableFileSystem } };
  NODEFS?: SyncableFileSystem;
}

function installSync(module: EmscriptenModule): void {
  const nodeFs = module.NODEFS ?? module.FS.filesystems.NODEFS;
  nodeFs.stream_ops.fsync = (stream) => {
    fdatasyncSync(stream.nfd);
    return 0;
  };
}

async function serve(port: MessagePort, folder: string): Promise<void> {
  const database = await openSyncedDatabase(folder);
  const session = new EmbeddedSession(database);
  port.on("message", async (request: ThreadRequest) => {
    // No request but the last one waits for anything, so that they are answered in their order.
    port.postMessage("close" in request ? await close(database, request.id) : answer(session, request));
  });
  port.postMessage("ready");
}

async function close(database: PGlite, id: number): Promise<ThreadAnswer> {
  await database.close();
  return { id, rows: [], affectedRows: 0 };
}

function answer(
  session: EmbeddedSession,
  request: Exclude<ThreadRequest, { readonly close: true }>,
): ThreadAnswer {
  const { id } = request;
  try {
    if ("statements" in request) return { id, ...session.run(request.statements) };
    session.runTransaction(request.transaction);
    return { id, rows: [], affectedRows: 0 };
  } catch (error) {
    const { message, code, constraint, table } = error as Error & Partial<ThreadFailure>;
    return { id, failure: { message, code, constraint, table } };
  }
}

const isEmbeddedThread = (workerData as { embeddedDatabase?: string } | null)?.embeddedDatabase;
if (parentPort !== null && isEmbeddedThread !== undefined) await serve(parentPort, isEmbeddedThread);
