import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PGlite } from "@electric-sql/pglite";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { openSyncedDatabase } from "./embedded-database-thread.ts";
import { EmbeddedSession, type Statement } from "./embedded-session.ts";
import { keepUp } from "./embedded-upkeep.ts";

let folder: string;
let database: PGlite;
let session: EmbeddedSession;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "biplane-upkeep-"));
  database = await openSyncedDatabase(folder);
});
beforeEach(() => {
  session = new EmbeddedSession(database);
  run("deallocate all");
  run('drop table if exists "A thing"');
  run('create table "A thing" (id int primary key, value text)');
});
afterAll(async () => {
  await database.close();
  await rm(folder, { recursive: true, force: true });
});

const run = (sql: string, ...parameters: unknown[]) => session.run([{ sql, parameters }]).rows;
const query = async (statement: Statement) => session.run([statement]);
const bytes = () => run(`select pg_relation_size('"A thing"') as bytes`)[0]!["bytes"] as number;
const change = () => run(`update "A thing" set value = repeat('y', 500)`);

function insert(count: number): void {
  run(`insert into "A thing" select number, repeat('x', 500) from generate_series(1, $1::int) number`, count);
}

/** Counts reach the statistics at most once a second, as PostgreSQL has it. */
async function untilCounted(column: string, least: number): Promise<void> {
  const counted = () =>
    run(`select ${column} as count from pg_stat_all_tables where relname = 'A thing'`)[0]!["count"] as number;
  while (counted() < least) await new Promise((resolve) => setTimeout(resolve, 100));
}

async function keepAllUp(freezeAge?: number): Promise<number> {
  let count = 0;
  while ((await keepUp(query, freezeAge)) !== undefined) count += 1;
  return count;
}

test("rows that were changed again and again take no more room than once", async () => {
  insert(1_000);
  for (let round = 0; round < 4; round += 1) {
    change();
    await untilCounted("n_dead_tup", 900);
    await keepAllUp();
  }
  const kept = bytes();
  for (let round = 0; round < 4; round += 1) change();
  expect(kept).toBeLessThan(1_000 * 600 * 3);
  expect(bytes(), "control: without it each change takes as much again").toBeGreaterThan(kept * 1.5);
});

test("the planner learns how a table has grown, and a table that rests is left alone", async () => {
  const planned = () => run(`select reltuples as rows from pg_class where relname = 'A thing'`)[0]!["rows"];
  await keepAllUp();
  expect(planned()).toBe(-1);
  insert(5_000);
  await untilCounted("n_mod_since_analyze", 5_000);
  await keepAllUp();
  expect(planned()).toBe(5_000);
  expect(await keepAllUp()).toBe(0);
});

test("old rows are frozen before transaction numbers come round, the catalogue's as well", async () => {
  const oldest = () =>
    run(`select greatest(
      (select max(age(relfrozenxid)) from pg_class where relkind in ('r', 't')),
      (select max(age(datfrozenxid)) from pg_database))::int as age`)[0]!["age"] as number;
  insert(10);
  for (let transaction = 0; transaction < 300; transaction += 1)
    run(`update "A thing" set value = 'z' where id = 1`);
  expect(oldest()).toBeGreaterThan(250);
  run("set vacuum_freeze_min_age = 0");
  run("set vacuum_freeze_table_age = 0");
  expect(await keepAllUp(250)).toBeGreaterThan(10);
  expect(oldest()).toBeLessThan(250);
});

test("databases that nothing can vacuum here are dropped, from one that was made with them as well", async () => {
  const older = await mkdtemp(join(tmpdir(), "biplane-upkeep-older-"));
  const plain = await PGlite.create(older);
  const names = "select datname as name from pg_database";
  expect((await plain.query(names)).rows, "control").toHaveLength(3);
  await plain.exec("create table kept as select 1 as value");
  await plain.close();
  for (const _ of ["the first time", "again"]) {
    const opened = await openSyncedDatabase(older);
    expect((await opened.query(names)).rows).toHaveLength(1);
    expect((await opened.query("select value from kept")).rows).toEqual([{ value: 1 }]);
    await opened.close();
  }
  await rm(older, { recursive: true });
});

test("statements that were prepared before stay good", async () => {
  insert(2_000);
  await untilCounted("n_mod_since_analyze", 2_000);
  const count = `select count(*)::int as count from "A thing" where id < $1`;
  expect(run(count, 100)).toEqual([{ count: 99 }]);
  await keepAllUp();
  expect(run(count, 100)).toEqual([{ count: 99 }]);
});
