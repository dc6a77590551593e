/** Kysely's way to the embedded database in its thread. One connection, used by one transaction at a time. */
import { mkdir } from "node:fs/promises";
import { Worker } from "node:worker_threads";
import { minute, ownBytes } from "@biplane/base";
import {
  CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  type Driver,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
  type QueryResult,
} from "kysely";
import type { ThreadAnswer, ThreadFailure, ThreadRequest } from "./embedded-database-thread.ts";
import type { Statement, StatementResult } from "./embedded-session.ts";
import { keepUp } from "./embedded-upkeep.ts";

export interface EmbeddedDatabase {
  readonly dialect: Dialect;
  /** Goes with the next statement of the transaction that is under way, whose failure its own is then. */
  runWithNext(query: CompiledQuery): void;
  /** All of the statements in one transaction and one message to the thread; for those whose results nobody needs. */
  runTransaction(queries: readonly CompiledQuery[]): Promise<void>;
}

const deferred = new WeakSet<CompiledQuery>();

/** The statement goes with the transaction's next one, or with its commit, whose failure its own is then. It has no result. */
export function defer(query: CompiledQuery): CompiledQuery {
  deferred.add(query);
  return query;
}

/** Opens (and on first use makes) the database in the folder. */
export async function openEmbeddedDatabase(folder: string): Promise<EmbeddedDatabase> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const driver = new EmbeddedDriver(await DatabaseThread.start(folder));
  return {
    dialect: {
      createAdapter: () => new PostgresAdapter(),
      createDriver: () => driver,
      createIntrospector: (kysely) => new PostgresIntrospector(kysely),
      createQueryCompiler: () => new PostgresQueryCompiler(),
    },
    runWithNext: (query) => driver.runWithNext(query),
    runTransaction: (queries) => driver.runTransaction(queries),
  };
}

/** What PostgreSQL refused, with its SQLSTATE in `code` as `pg` has it. */
export class EmbeddedDatabaseError extends Error {
  override readonly name = "EmbeddedDatabaseError";
  readonly code: string | undefined;
  readonly constraint: string | undefined;
  readonly table: string | undefined;

  constructor(failure: ThreadFailure) {
    super(failure.message);
    this.code = failure.code;
    this.constraint = failure.constraint;
    this.table = failure.table;
  }
}

interface Waiter {
  readonly resolve: (answer: StatementResult) => void;
  readonly reject: (error: Error) => void;
}

class DatabaseThread {
  readonly #worker: Worker;
  readonly #waiters = new Map<number, Waiter>();
  #lastId = 0;
  #ended: Error | undefined;

  private constructor(worker: Worker) {
    this.#worker = worker;
    worker.on("message", (answer: ThreadAnswer) => this.#settle(answer));
    worker.on("error", (error) => this.#end(error));
    worker.on("exit", () => this.#end(new Error("The embedded database has ended.")));
  }

  static async start(folder: string): Promise<DatabaseThread> {
    const worker = new Worker(threadFile(), { workerData: { embeddedDatabase: folder } });
    await new Promise<void>((resolve, reject) => {
      worker.once("message", () => resolve());
      worker.once("error", reject);
    });
    return new DatabaseThread(worker);
  }

  query(statements: readonly Statement[]): Promise<StatementResult> {
    return this.#ask((id) => ({ id, statements: statements.map(detached) }));
  }

  async transact(statements: readonly Statement[]): Promise<void> {
    await this.#ask((id) => ({ id, transaction: statements.map(detached) }));
  }

  async close(): Promise<void> {
    if (this.#ended !== undefined) return;
    await this.#ask((id) => ({ id, close: true }));
    await this.#worker.terminate();
  }

  #ask(request: (id: number) => ThreadRequest): Promise<StatementResult> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    this.#lastId += 1;
    const id = this.#lastId;
    return new Promise((resolve, reject) => {
      this.#waiters.set(id, { resolve, reject });
      this.#worker.postMessage(request(id));
    });
  }

  #settle(answer: ThreadAnswer): void {
    const waiter = this.#waiters.get(answer.id);
    this.#waiters.delete(answer.id);
    if ("failure" in answer) waiter?.reject(new EmbeddedDatabaseError(answer.failure));
    else waiter?.resolve(answer);
  }

  #end(error: Error): void {
    this.#ended ??= error;
    for (const waiter of this.#waiters.values()) waiter.reject(error);
    this.#waiters.clear();
  }
}

/** Beside this file: in source as TypeScript, in a bundle as its own entry. */
function threadFile(): URL {
  const inSource = import.meta.url.endsWith(".ts");
  return new URL(
    inSource ? "./embedded-database-thread.ts" : "./embedded-database-thread.mjs",
    import.meta.url,
  );
}

/** A message would carry the whole pool that a small buffer is a view of. */
function detached({ sql, parameters }: Statement): Statement {
  const own = parameters.map((value) => (value instanceof Uint8Array ? ownBytes(value) : value));
  return { sql, parameters: own };
}

const begin = CompiledQuery.raw("begin");
const upkeepEveryMs = minute;

class EmbeddedDriver implements Driver {
  readonly #thread: DatabaseThread;
  readonly #connection: EmbeddedConnection;
  readonly #turns = new Turns();
  readonly #upkeep: NodeJS.Timeout;

  constructor(thread: DatabaseThread) {
    this.#thread = thread;
    this.#connection = new EmbeddedConnection(thread);
    this.#upkeep = setInterval(() => void this.#keepUp(), upkeepEveryMs).unref();
  }

  async init(): Promise<void> {}

  /** One transaction at a time: two at once would commit each other's work. */
  async acquireConnection(): Promise<DatabaseConnection> {
    await this.#turns.take();
    return this.#connection;
  }

  async releaseConnection(): Promise<void> {
    this.#turns.pass();
  }

  /** With the first statement, which saves one way to the thread and back for every transaction. */
  async beginTransaction(): Promise<void> {
    this.#connection.runWithNext(begin);
  }

  runWithNext(query: CompiledQuery): void {
    this.#connection.runWithNext(query);
  }

  async runTransaction(queries: readonly CompiledQuery[]): Promise<void> {
    await this.#turns.take();
    try {
      await this.#thread.transact(queries);
    } finally {
      this.#turns.pass();
    }
  }

  async commitTransaction(): Promise<void> {
    await this.#connection.executeQuery(CompiledQuery.raw("commit"));
  }

  async rollbackTransaction(): Promise<void> {
    if (this.#connection.forgetWaiting() === "begun")
      await this.#connection.executeQuery(CompiledQuery.raw("rollback"));
  }

  destroy(): Promise<void> {
    clearInterval(this.#upkeep);
    return this.#thread.close();
  }

  /** One table in a turn, so that transactions wait for one at most. What fails is tried again a minute later. */
  async #keepUp(): Promise<void> {
    const kept = new Set<string>();
    for (;;) {
      await this.#turns.take();
      const name = await keepUp((statement) => this.#thread.query([statement]))
        .catch(() => undefined)
        .finally(() => this.#turns.pass());
      if (name === undefined || kept.has(name)) return;
      kept.add(name);
    }
  }
}

class EmbeddedConnection implements DatabaseConnection {
  readonly #thread: DatabaseThread;
  #before: CompiledQuery[] = [];

  constructor(thread: DatabaseThread) {
    this.#thread = thread;
  }

  runWithNext(query: CompiledQuery): void {
    this.#before.push(query);
  }

  /** Tells whether the thread knows of the transaction. */
  forgetWaiting(): "begun" | "unknown" {
    return this.#before.splice(0).includes(begin) ? "unknown" : "begun";
  }

  async executeQuery<R>(query: CompiledQuery): Promise<QueryResult<R>> {
    if (deferred.has(query)) {
      this.#before.push(query);
      return { rows: [], numAffectedRows: 0n };
    }
    const { rows, affectedRows } = await this.#thread.query([...this.#before.splice(0), query]);
    return { rows: rows as R[], numAffectedRows: BigInt(affectedRows) };
  }

  // biome-ignore lint/correctness/useYield: the interface wants a generator, and there is nothing to stream.
  async *streamQuery<R>(): AsyncIterableIterator<QueryResult<R>> {
    throw new Error("The embedded database does not stream; page through the rows.");
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
