import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { PGlite } from "@electric-sql/pglite";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { openSyncedDatabase } from "./embedded-database-thread.ts";
import { EmbeddedSession } from "./embedded-session.ts";

let folder: string;
let database: PGlite;
let session: EmbeddedSession;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "biplane-session-"));
  database = await openSyncedDatabase(folder);
});
beforeEach(async () => {
  session = new EmbeddedSession(database);
  run("deallocate all");
  run("drop table if exists thing");
  run("create table thing (name text primary key, value int check (value >= 0))");
});
afterAll(async () => {
  await database.close();
  await rm(folder, { recursive: true, force: true });
});

const run = (sql: string, ...parameters: unknown[]) => session.run([{ sql, parameters }]);
const insert = (name: string, value: unknown = 1) => ({
  sql: "insert into thing values ($1, $2)",
  parameters: [name, value],
});
const names = () => run("select name from thing order by name").rows.map((row) => row.name);

test.each([
  ["text", "a 'quoted' \\ text with ü and 😀"],
  ["text", ""],
  ["bigint", 1_732_176_000_000],
  ["bigint", 9_007_199_254_740_993n],
  ["bigint", "-5"],
  ["int", -7],
  ["smallint", 3],
  ["double precision", 0.1],
  ["numeric", "12345678901234567890.5"],
  ["boolean", true],
  ["boolean", false],
  ["bytea", Uint8Array.from([0, 255, 92, 10])],
  ["bytea", new Uint8Array()],
  ["json", { a: [1, null, "x"] }],
  ["jsonb", '{"b": 2}'],
  ["timestamptz", new Date("2026-01-02T03:04:05.678Z")],
  ["text[]", ["a", 'b"c', null, "d,e"]],
  ["text[]", []],
  ["bigint[]", [1, 2]],
  ["uuid", "8d3a7a3e-45c6-4c3c-9a8b-3f6d2b1f0a11"],
  ["int", null],
  ["text", undefined],
])("gives a %s as PGlite's own query does (%#)", async (type, value) => {
  const sql = `select $1::${type} as value`;
  const expected = await database.query<{ value: unknown }>(sql, [value]);
  const { rows } = run(sql, value);
  expect(structuredClone(rows)).toEqual(structuredClone(expected.rows));
  expect(run(sql, value).rows).toEqual(rows);
});

test.each([
  "insert into thing values ('a', 1), ('b', 2)",
  "update thing set value = 3",
  "select 1 as one",
  "delete from thing",
])("counts the rows of what changes some: %s", async (sql) => {
  run("insert into thing values ('x', 1)");
  await database.exec("begin");
  const expected = await database.query(sql);
  await database.exec("rollback");
  expect(run(sql).affectedRows).toBe(expected.affectedRows);
});

test("tells code, constraint and table of a refusal, and hears what comes next", () => {
  session.run([insert("a")]);
  expect(() => session.run([insert("a")])).toThrow(
    expect.objectContaining({ code: "23505", constraint: "thing_pkey", table: "thing" }),
  );
  expect(() => run("selec 1")).toThrow(expect.objectContaining({ code: "42601" }));
  expect(() => run("select $1::bytea", "text")).toThrow(/bytea/);
  expect(names()).toEqual(["a"]);
});

test("keeps all of a transaction, or nothing of it", () => {
  session.runTransaction([insert("a"), insert("b")]);
  expect(names()).toEqual(["a", "b"]);
  expect(() => session.runTransaction([insert("c"), insert("d", -1), insert("e")])).toThrow(
    expect.objectContaining({ code: "23514" }),
  );
  expect(() => session.runTransaction([insert("c"), { sql: "selec 1", parameters: [] }])).toThrow(
    expect.objectContaining({ code: "42601" }),
  );
  session.runTransaction([insert("f")]);
  expect(names()).toEqual(["a", "b", "f"]);
});

test("runs nothing after a failure, and stays in the transaction until it is rolled back", () => {
  const [begin, rollback] = ["begin", "rollback"].map((sql) => ({ sql, parameters: [] }));
  expect(() => session.run([begin!, insert("a", -1), insert("b")])).toThrow(
    expect.objectContaining({ code: "23514" }),
  );
  expect(() => run("select 1")).toThrow(expect.objectContaining({ code: "25P02" }));
  session.run([rollback!]);
  expect(names()).toEqual([]);
});

test("says that a transaction was not committed where commit only ends a failed one", () => {
  run("begin");
  expect(() => session.run([insert("a", -1)])).toThrow();
  expect(() => run("commit")).toThrow(expect.objectContaining({ code: "25P02" }));
  expect(names()).toEqual([]);
});

test("statements prepared before a table changed mean the table as it is now", () => {
  const all = "select * from thing";
  session.run([insert("a")]);
  expect(run(all).rows).toEqual([{ name: "a", value: 1 }]);
  run("alter table thing add column more text default 'm'");
  expect(run(all).rows).toEqual([{ name: "a", value: 1, more: "m" }]);
});

test("keeps a bounded number of statements prepared", () => {
  for (let index = 0; index < 600; index += 1) run(`select ${index} as n${index}`);
  const kept = "select count(*)::int as count from pg_prepared_statements";
  expect(run(kept).rows[0]?.count).toBeLessThanOrEqual(257);
  expect(run("select 0 as n0").rows).toEqual([{ n0: 0 }]);
  run(`select '${"x".repeat(20_000)}' as long`);
  const long = "select count(*)::int as count from pg_prepared_statements where length(statement) > 20000";
  expect(run(long).rows[0]?.count).toBe(0);
});

test("an answer without an end is a failure, never a commit", () => {
  const dead = new EmbeddedSession({
    execProtocolRawSync: () => new Uint8Array(),
    parsers: database.parsers,
    serializers: database.serializers,
  });
  expect(() => dead.runTransaction([])).toThrow(/did not answer/);
});
