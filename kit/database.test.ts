import { fdatasyncSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { minute } from "@biplane/base";
import { type Kysely, sql } from "kysely";
import { afterEach, expect, test, vi } from "vitest";
import { describeOnBothDatabases } from "../tests/support/postgres.ts";
import { createRoleIfAbsent, executeLater, openDatabase, protectTable } from "./database.ts";
import { openSyncedDatabase } from "./embedded-database-thread.ts";

vi.mock("node:fs", async (load) => {
  const fs = await load<typeof import("node:fs")>();
  return { ...fs, fdatasyncSync: vi.fn(fs.fdatasyncSync) };
});

const folders: string[] = [];
afterEach(async () => {
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true });
});

interface Schema {
  thing: { org_id: string; name: string };
}

const withThings = {
  applicationRole: "biplane_test",
  migrations: {
    "0001": {
      async up(kysely: Kysely<unknown>) {
        await createRoleIfAbsent(kysely, "biplane_test");
        await sql`create table thing (org_id text not null, name text not null, primary key (org_id, name))`.execute(
          kysely,
        );
        await protectTable(kysely, "thing", "biplane_test");
      },
    },
  },
};

async function openThings() {
  const folder = await mkdtemp(join(tmpdir(), "biplane-database-"));
  folders.push(folder);
  return openDatabase<Schema>({ folder }, withThings);
}

test("every committed transaction of the embedded database is synced to the disk", async () => {
  const folder = await mkdtemp(join(tmpdir(), "biplane-database-"));
  folders.push(folder);
  const database = await openSyncedDatabase(folder);
  await database.exec("create table thing (name text)");
  vi.mocked(fdatasyncSync).mockClear();
  for (let index = 0; index < 50; index += 1)
    await database.query("insert into thing values ($1)", [`n${index}`]);
  expect(vi.mocked(fdatasyncSync).mock.calls.length).toBeGreaterThanOrEqual(50);
  await database.close();
});

test("a transaction of one organization neither sees nor writes rows of another (claim ISO-1)", async () => {
  const database = await openThings();
  await database.asOrg("acme", (t) =>
    t.insertInto("thing").values({ org_id: "acme", name: "mine" }).execute(),
  );
  const seen = await database.asOrg("other", (t) => t.selectFrom("thing").selectAll().execute());
  expect(seen).toEqual([]);
  const writing = database.asOrg("other", (t) =>
    t.insertInto("thing").values({ org_id: "acme", name: "forged" }).execute(),
  );
  await expect(writing).rejects.toThrow(/row-level security/);
  const control = await database.asOrg("acme", (t) => t.selectFrom("thing").selectAll().execute());
  expect(control).toHaveLength(1);
  await database.close();
});

test("transactions that come together take turns and each keeps its own rows", async () => {
  const database = await openThings();
  const names = Array.from({ length: 20 }, (_, index) => `n${index}`);
  const outcomes = await Promise.allSettled(
    names.map((name, index) =>
      database.asOrg("acme", async (t) => {
        await t.insertInto("thing").values({ org_id: "acme", name }).execute();
        await new Promise((resolve) => setTimeout(resolve, index % 3));
        if (index % 2 === 1) throw new Error("rolled back");
      }),
    ),
  );
  expect(outcomes.filter((one) => one.status === "fulfilled")).toHaveLength(10);
  const rows = await database.asOrg("acme", (t) => t.selectFrom("thing").select("name").execute());
  expect(rows.map((row) => row.name).sort()).toEqual(names.filter((_, index) => index % 2 === 0).sort());
  await database.close();
});

test("the embedded database looks after its tables every minute", async () => {
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
  const database = await openThings();
  await database.asOrg("acme", (t) =>
    sql`insert into thing select 'acme', 'n' || number from generate_series(1, 2000) as number`.execute(t),
  );
  const analyzed = sql<{ times: number }>`
    select analyze_count as times from pg_stat_user_tables where relname = 'thing'`;
  const times = async () => (await analyzed.execute(database.kysely)).rows[0]!.times;
  expect(await times(), "control: not without a minute having passed").toBe(0);
  for (let minutes = 0; (await times()) === 0; minutes += 1) {
    // What was written reaches the statistics within seconds.
    expect(minutes).toBeLessThan(100);
    vi.advanceTimersByTime(minute);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  vi.useRealTimers();
  await database.close();
});

describeOnBothDatabases("a database", (fresh) => {
  test("writes what was collected as one organization: all of it or nothing (claim ISO-1)", async () => {
    const database = await openDatabase<Schema>(await fresh(), withThings);
    const write = (...rows: [org: string, name: string][]) =>
      database.writeAsOrg("acme", async (t) => {
        for (const [org_id, name] of rows) await t.insertInto("thing").values({ org_id, name }).execute();
      });
    await write(["acme", "a"], ["acme", "b"]);
    await expect(write(["acme", "c"], ["other", "forged"])).rejects.toThrow(/row-level security/);
    await expect(write(["acme", "d"], ["acme", "a"])).rejects.toMatchObject({ code: "23505" });
    const early = database.writeAsOrg("acme", async (t) => {
      await t.insertInto("thing").values({ org_id: "acme", name: "e" }).execute();
      throw new Error("thought better of it");
    });
    await expect(early).rejects.toThrow("thought better of it");
    const rows = await database.asOrg("acme", (t) => t.selectFrom("thing").select("name").execute());
    expect(rows.map(({ name }) => name).sort()).toEqual(["a", "b"]);
    await database.close();
  });

  test("runs what nobody reads in its place, and fails as a whole where that fails", async () => {
    const database = await openDatabase<Schema>(await fresh(), withThings);
    const names = (t: Parameters<Parameters<typeof database.asOrg>[1]>[0]) =>
      t.selectFrom("thing").select("name").orderBy("name").execute();
    const add = (t: Parameters<typeof names>[0], name: string) =>
      executeLater(t, t.insertInto("thing").values({ org_id: "acme", name }).compile());
    const seen = await database.asOrg("acme", async (t) => {
      await add(t, "a");
      const inside = await names(t);
      await add(t, "b");
      return inside;
    });
    expect(seen).toEqual([{ name: "a" }]);
    const repeated = database.asOrg("acme", async (t) => {
      await add(t, "c");
      await add(t, "a");
    });
    await expect(repeated).rejects.toMatchObject({ code: "23505", table: "thing" });
    const givenUp = database.asOrg("acme", async (t) => {
      await names(t);
      await add(t, "c");
      throw new Error("thought better of it");
    });
    await expect(givenUp).rejects.toThrow("thought better of it");
    const neverBegun = database.asOrg("acme", async (t) => {
      await add(t, "c");
      throw new Error("at once");
    });
    await expect(neverBegun).rejects.toThrow("at once");
    // Nothing of them waits for the next one, and none of them is still open.
    await database.asOrg("acme", (t) => add(t, "d"));
    expect(await database.asOrg("acme", names)).toEqual([{ name: "a" }, { name: "b" }, { name: "d" }]);
    await database.close();
  });

  test("refuses to read in a transaction that only writes", async () => {
    const database = await openDatabase<Schema>(await fresh(), withThings);
    const reading = database.writeAsOrg("acme", async (t) => {
      await t.selectFrom("thing").selectAll().execute();
    });
    await expect(reading).rejects.toThrow(/use asOrg/);
    await database.close();
  });

  test("gives 64-bit integers as numbers and bytes as bytes", async () => {
    const database = await openDatabase<Schema>(await fresh(), { applicationRole: "nobody", migrations: {} });
    const { rows } = await sql<{ number: number; bytes: Uint8Array }>`
      select 1732176000000::bigint as number, '\\x00ff'::bytea as bytes`.execute(database.kysely);
    expect(rows[0]!.number).toBe(1_732_176_000_000);
    expect([...rows[0]!.bytes]).toEqual([0, 255]);
    await database.close();
  });
});
