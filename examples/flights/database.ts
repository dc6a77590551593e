/** DuckDB in this process: small, and it reads what is on this machine only. */
import { DuckDBInstance, type DuckDBValue } from "@duckdb/node-api";

export interface Database {
  rows(query: string, values?: DuckDBValue[]): Promise<readonly Readonly<Record<string, unknown>>[]>;
  run(query: string, values?: DuckDBValue[]): Promise<void>;
}

let opened: Promise<Database> | undefined;

/** One for the whole process: a worker that runs several actions starts it once. */
export function openDatabase(): Promise<Database> {
  opened ??= open();
  return opened;
}

async function open(): Promise<Database> {
  const instance = await DuckDBInstance.create(":memory:", {
    threads: "1",
    // Extensions would come from the internet, which a task doesn't have.
    autoinstall_known_extensions: "false",
    autoload_known_extensions: "false",
  });
  const connection = await instance.connect();
  return {
    rows: async (query, values = []) => {
      const reader = await connection.runAndReadAll(query, values);
      return reader.getRowObjects();
    },
    run: async (query, values = []) => {
      await connection.run(query, values);
    },
  };
}
