/** Kysely's way to the embedded database in its thread. One connection, used by one transaction at a time. */
import { mkdir } from "node:fs/promises";
import { Worker } from "node:worker_threads";
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
import type { Statement, ThreadAnswer, ThreadFailure } from "./embedded-database-thread.ts";

/** Opens (and on first use makes) the database in the folder. */
export async function embeddedDialect(folder: string): Promise<Dialect> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const thread = await DatabaseThread.start(folder);
  return {
    createAdapter: () => new PostgresAdapter(),
    createDriver: () => new EmbeddedDriver(thread),
    createIntrospector: (kysely) => new PostgresIntrospector(kysely),
    createQueryCompiler: () => new PostgresQueryCompiler(),
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
  readonly resolve: (answer: Extract<ThreadAnswer, { rows: unknown[] }>) => void;
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

  async query(statements: readonly Statement[]): Promise<Extract<ThreadAnswer, { rows: unknown[] }>> {
    return this.#ask((id) => ({ id, statements: statements.map(detached) }));
  }

  async close(): Promise<void> {
    if (this.#ended !== undefined) return;
    await this.#ask((id) => ({ id, close: true }));
    await this.#worker.terminate();
  }

  #ask(request: (id: number) => object): Promise<Extract<ThreadAnswer, { rows: unknown[] }>> {
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

/** Small buffers are views of a shared pool; a message would carry the whole pool for each. */
function detached(statement: Statement): Statement {
  const parameters = statement.parameters.map((value) =>
    value instanceof Uint8Array && value.byteLength !== value.buffer.byteLength
      ? Uint8Array.from(value)
      : value,
  );
  return { sql: statement.sql, parameters };
}

class EmbeddedDriver implements Driver {
  readonly #thread: DatabaseThread;
  readonly #connection: EmbeddedConnection;
  readonly #turns = new Turns();

  constructor(thread: DatabaseThread) {
    this.#thread = thread;
    this.#connection = new EmbeddedConnection(thread);
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

  async beginTransaction(): Promise<void> {
    this.#connection.beginWithNextQuery();
  }

  async commitTransaction(): Promise<void> {
    await this.#connection.executeQuery(CompiledQuery.raw("commit"));
  }

  async rollbackTransaction(): Promise<void> {
    await this.#connection.executeQuery(CompiledQuery.raw("rollback"));
  }

  destroy(): Promise<void> {
    return this.#thread.close();
  }
}

class EmbeddedConnection implements DatabaseConnection {
  readonly #thread: DatabaseThread;
  #beginPending = false;

  constructor(thread: DatabaseThread) {
    this.#thread = thread;
  }

  /** Saves one way to the thread and back for every transaction. */
  beginWithNextQuery(): void {
    this.#beginPending = true;
  }

  async executeQuery<R>(query: CompiledQuery): Promise<QueryResult<R>> {
    const statement = { sql: query.sql, parameters: query.parameters };
    const statements = this.#beginPending ? [{ sql: "begin", parameters: [] }, statement] : [statement];
    this.#beginPending = false;
    const { rows, affectedRows } = await this.#thread.query(statements);
    return {
      rows: rows as R[],
      ...(affectedRows === undefined ? {} : { numAffectedRows: BigInt(affectedRows) }),
    };
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
