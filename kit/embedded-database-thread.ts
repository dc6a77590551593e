/**
 * The thread that PostgreSQL in WebAssembly runs in: it waits for the disk at every commit, and a process that also
 * serves requests must not wait with it.
 */
import { fdatasyncSync } from "node:fs";
import { type MessagePort, parentPort, workerData } from "node:worker_threads";
import { PGlite } from "@electric-sql/pglite";
import { NodeFS } from "@electric-sql/pglite/nodefs";
import { prepareDatabaseFolder } from "./embedded-database-template.ts";

export interface Statement {
  readonly sql: string;
  readonly parameters: readonly unknown[];
}

/** Statements that go one after the other; the answer is the last one's, or the first failure. */
export type ThreadRequest =
  | { readonly id: number; readonly statements: readonly Statement[] }
  | { readonly id: number; readonly close: true };

export interface ThreadFailure {
  readonly message: string;
  /** SQLSTATE, and what PostgreSQL says of the place. */
  readonly code: string | undefined;
  readonly constraint: string | undefined;
  readonly table: string | undefined;
}

export type ThreadAnswer =
  | { readonly id: number; readonly rows: unknown[]; readonly affectedRows: number | undefined }
  | { readonly id: number; readonly failure: ThreadFailure };

/** Opens the database in a folder with every commit on the disk before it is answered. */
export async function openSyncedDatabase(folder: string): Promise<PGlite> {
  await prepareDatabaseFolder(folder);
  const startParams = PGlite.defaultStartParams.filter((parameter) => parameter !== "-F");
  return PGlite.create({
    fs: new SyncingNodeFS(folder),
    startParams: [...startParams, "-c", "wal_sync_method=fsync"],
  });
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
  let turn: Promise<void> = Promise.resolve();
  port.on("message", (request: ThreadRequest) => {
    turn = turn.then(async () => port.postMessage(await answer(database, request)));
  });
  port.postMessage("ready");
}

async function answer(database: PGlite, request: ThreadRequest): Promise<ThreadAnswer> {
  try {
    if ("close" in request) {
      await database.close();
      return { id: request.id, rows: [], affectedRows: undefined };
    }
    let last: { rows: unknown[]; affectedRows?: number } = { rows: [] };
    for (const { sql, parameters } of request.statements) last = await database.query(sql, [...parameters]);
    return { id: request.id, rows: last.rows, affectedRows: last.affectedRows };
  } catch (error) {
    const { message, code, constraint, table } = error as Error & Partial<ThreadFailure>;
    return { id: request.id, failure: { message, code, constraint, table } };
  }
}

const isEmbeddedThread = (workerData as { embeddedDatabase?: string } | null)?.embeddedDatabase;
if (parentPort !== null && isEmbeddedThread !== undefined) await serve(parentPort, isEmbeddedThread);
