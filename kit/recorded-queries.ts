/** Statements that are written down instead of run, so that they can go to a database together. */
import {
  type CompiledQuery,
  type DatabaseConnection,
  type Driver,
  Kysely,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
  type QueryResult,
  type Transaction,
} from "kysely";

/** Whatever the work would have run, in its order. */
export async function recordQueries<Schema>(
  work: (transaction: Transaction<Schema>) => Promise<void>,
): Promise<readonly CompiledQuery[]> {
  const recorder = new Recorder();
  const kysely = new Kysely<Schema>({
    dialect: {
      createAdapter: () => new PostgresAdapter(),
      createDriver: () => recorder,
      createIntrospector: (one) => new PostgresIntrospector(one),
      createQueryCompiler: () => new PostgresQueryCompiler(),
    },
  });
  await kysely.transaction().execute(work);
  return recorder.queries;
}

class Recorder implements Driver, DatabaseConnection {
  readonly queries: CompiledQuery[] = [];

  async executeQuery<R>(query: CompiledQuery): Promise<QueryResult<R>> {
    this.queries.push(query);
    return {
      get rows(): R[] {
        throw new Error("A statement that is only written down has no rows: use asOrg for what reads.");
      },
    };
  }

  // biome-ignore lint/correctness/useYield: the interface wants a generator, and there is nothing to stream.
  async *streamQuery<R>(): AsyncIterableIterator<QueryResult<R>> {
    throw new Error("A statement that is only written down has no rows: use asOrg for what reads.");
  }

  async init(): Promise<void> {}
  async acquireConnection(): Promise<DatabaseConnection> {
    return this;
  }
  async beginTransaction(): Promise<void> {}
  async commitTransaction(): Promise<void> {}
  async rollbackTransaction(): Promise<void> {}
  async releaseConnection(): Promise<void> {}
  async destroy(): Promise<void> {}
}
