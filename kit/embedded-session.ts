/**
 * PostgreSQL's wire protocol, spoken with the database in this thread. PGlite's own `query` makes six ways into
 * WebAssembly for each statement and plans it anew each time; here a statement is prepared once, and statements that
 * come together go in together.
 */
import { type PGlite, protocol } from "@electric-sql/pglite";

export interface Statement {
  readonly sql: string;
  readonly parameters: readonly unknown[];
}

export interface StatementResult {
  readonly rows: Record<string, unknown>[];
  readonly affectedRows: number;
}

type WireDatabase = Pick<PGlite, "execProtocolRawSync" | "parsers" | "serializers">;
type ParsedMessage = Parameters<Parameters<InstanceType<typeof Parser>["parse"]>[1]>[0];

/** Of the messages' types, which PGlite does not export, what is read here. */
type Message =
  | { readonly name: "parameterDescription"; readonly dataTypeIDs: number[] }
  | { readonly name: "rowDescription"; readonly fields: { name: string; dataTypeID: number }[] }
  | { readonly name: "dataRow"; readonly fields: (string | null)[] }
  | { readonly name: "commandComplete"; readonly text: string };

interface Column {
  readonly name: string;
  readonly parse: (text: string) => unknown;
}

interface Prepared {
  /** Empty for one that is used at once and not kept. */
  readonly name: string;
  readonly parameterTypes: readonly number[];
  readonly columns: readonly Column[];
}

interface Waiting {
  readonly sql: string;
  readonly prepared: Prepared;
  readonly messages: readonly Uint8Array[];
}

const { Parser, serialize } = protocol;
const preparedMax = 256;
/** Longer ones are lists of many values, which hardly ever come again. */
const preparedTextMax = 8_192;
const byteaType = 17;
const nothing: StatementResult = { rows: [], affectedRows: 0 };
const countingTags: ReadonlySet<string> = new Set(["INSERT", "UPDATE", "DELETE", "MERGE", "COPY"]);
/** What follows any other tag may mean something else than what was prepared before it: tables have changed. */
const harmlessTags: ReadonlySet<string> = new Set([
  ...countingTags,
  ...["SELECT", "BEGIN", "COMMIT", "ROLLBACK", "SET", "SHOW", "VACUUM", "ANALYZE"],
]);

export class EmbeddedSession {
  readonly #database: WireDatabase;
  /** The least recently used one is first. */
  readonly #prepared = new Map<string, Prepared>();
  #lastNumber = 0;
  #closing: Uint8Array[] = [];

  constructor(database: WireDatabase) {
    this.#database = database;
  }

  /** Runs them one after the other and gives the last one's result; what follows a failure is not run. */
  run(statements: readonly Statement[]): StatementResult {
    let waiting: Waiting[] = [];
    for (const { sql, parameters } of statements) {
      let prepared = this.#known(sql);
      if (prepared === undefined) {
        // It may need what those before it make.
        this.#execute(waiting);
        waiting = [];
        prepared = this.#prepare(sql);
      }
      waiting.push({ sql, prepared, messages: this.#messagesOf(prepared, parameters) });
    }
    return this.#execute(waiting);
  }

  /** All of them or none. */
  runTransaction(statements: readonly Statement[]): void {
    try {
      this.run([begin, ...statements, commit]);
    } catch (error) {
      this.run([rollback]);
      throw error;
    }
  }

  #known(sql: string): Prepared | undefined {
    const prepared = this.#prepared.get(sql);
    if (prepared === undefined) return undefined;
    this.#prepared.delete(sql);
    this.#prepared.set(sql, prepared);
    return prepared;
  }

  #prepare(sql: string): Prepared {
    this.#lastNumber += 1;
    const name = sql.length > preparedTextMax ? "" : `s${this.#lastNumber}`;
    const messages = this.#send([
      ...this.#closing.splice(0),
      serialize.parse({ name, text: sql }),
      serialize.describe({ type: "S", name }),
    ]);
    const prepared = {
      name,
      parameterTypes: messages.flatMap((one) => (one.name === "parameterDescription" ? one.dataTypeIDs : [])),
      columns: messages.flatMap((one) => (one.name === "rowDescription" ? this.#columnsOf(one.fields) : [])),
    };
    if (name !== "") this.#keep(sql, prepared);
    return prepared;
  }

  #keep(sql: string, prepared: Prepared): void {
    this.#prepared.set(sql, prepared);
    if (this.#prepared.size <= preparedMax) return;
    const [oldest] = this.#prepared.keys();
    this.#forget(oldest!);
  }

  #forget(sql: string): void {
    const { name } = this.#prepared.get(sql)!;
    this.#closing.push(serialize.close({ type: "S", name }));
    this.#prepared.delete(sql);
  }

  #columnsOf(fields: readonly { name: string; dataTypeID: number }[]): Column[] {
    const { parsers } = this.#database;
    return fields.map(({ name, dataTypeID }) => {
      const parse = dataTypeID === byteaType ? bytesOf : parsers[dataTypeID];
      return { name, parse: parse === undefined ? (text) => text : (text) => parse(text, dataTypeID) };
    });
  }

  #messagesOf({ name, parameterTypes }: Prepared, parameters: readonly unknown[]): Uint8Array[] {
    const values = parameters.map((value, index) => this.#wireValue(value, parameterTypes[index] ?? 0));
    return [serialize.bind({ statement: name, values }), serialize.execute()];
  }

  #wireValue(value: unknown, type: number): string | Uint8Array | null {
    if (value === null || value === undefined) return null;
    if (type === byteaType && value instanceof Uint8Array) return value;
    const toText = this.#database.serializers[type];
    return toText === undefined ? String(value) : toText(value);
  }

  #execute(waiting: readonly Waiting[]): StatementResult {
    if (waiting.length === 0) return nothing;
    const messages = this.#send(waiting.flatMap((one) => one.messages));
    let completed = 0;
    let last = nothing;
    let rows: Record<string, unknown>[] = [];
    for (const message of messages) {
      if (message.name === "dataRow") rows.push(rowOf(waiting[completed]!.prepared.columns, message.fields));
      else if (message.name === "commandComplete") {
        if (message.text === "ROLLBACK" && waiting[completed]!.sql === commit.sql) throw notCommitted();
        last = { rows, affectedRows: this.#completed(message.text) };
        rows = [];
        completed += 1;
      }
    }
    if (completed < waiting.length) throw unanswered();
    return last;
  }

  #completed(text: string): number {
    const tag = text.split(" ", 1)[0]!;
    if (!harmlessTags.has(tag)) for (const sql of [...this.#prepared.keys()]) this.#forget(sql);
    return countingTags.has(tag) ? Number(text.slice(text.lastIndexOf(" ") + 1)) : 0;
  }

  /** With a sync at the end, which ends a failure: whatever comes next is heard again. */
  #send(messages: readonly Uint8Array[]): Message[] {
    const answer = this.#database.execProtocolRawSync(joined([...messages, serialize.sync()]));
    const received: ParsedMessage[] = [];
    new Parser().parse(answer, (message) => received.push(message));
    const failure = received.find((message) => message instanceof Error);
    if (failure !== undefined) throw failure;
    return received as unknown as Message[];
  }
}

const begin: Statement = { sql: "begin", parameters: [] };
const commit: Statement = { sql: "commit", parameters: [] };
const rollback: Statement = { sql: "rollback", parameters: [] };

/** A database that died in the middle says nothing: that must not pass for a commit. */
function unanswered(): Error {
  return new Error("The embedded database did not answer a statement.");
}

/** PostgreSQL answers the commit of a failed transaction with its rollback, and not with an error. */
function notCommitted(): Error {
  const text = "The transaction had failed, and was rolled back instead of committed.";
  return Object.assign(new Error(text), { code: "25P02" });
}

function rowOf(columns: readonly Column[], fields: readonly (string | null)[]): Record<string, unknown> {
  const row: Record<string, unknown> = {};
  for (const [index, { name, parse }] of columns.entries()) {
    const text = fields[index]!;
    row[name] = text === null ? null : parse(text);
  }
  return row;
}

/** Not a view of the shared pool, which would go over the message port as a whole. */
function bytesOf(text: string): Uint8Array {
  const bytes = Buffer.alloc((text.length - 2) / 2);
  bytes.write(text.slice(2), "hex");
  return bytes;
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.byteLength, 0));
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.byteLength;
  }
  return whole;
}
