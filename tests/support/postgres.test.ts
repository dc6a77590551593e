import { createRoleIfAbsent, openDatabase, protectTable } from "@biplane/kit";
import { sql } from "kysely";
import { expect, test } from "vitest";
import { describeOnBothDatabases, startPostgres } from "./postgres.ts";

interface Schema {
  thing: { org_id: string; name: string };
}

const things = {
  applicationRole: "biplane_test",
  migrations: {
    "0001": {
      async up(kysely: Parameters<typeof createRoleIfAbsent>[0]) {
        await createRoleIfAbsent(kysely, "biplane_test");
        await sql`create table thing (org_id text not null, name text not null)`.execute(kysely);
        await protectTable(kysely, "thing", "biplane_test");
      },
    },
  },
};

describeOnBothDatabases("a test database", (fresh) => {
  test("is empty each time, takes migrations and holds one organization's rows apart", async () => {
    for (const name of ["first", "second"]) {
      const database = await openDatabase<Schema>(await fresh(), things);
      await database.asOrg("acme", (t) => t.insertInto("thing").values({ org_id: "acme", name }).execute());
      const own = await database.asOrg("acme", (t) => t.selectFrom("thing").select("name").execute());
      const others = await database.asOrg("other", (t) => t.selectFrom("thing").select("name").execute());
      expect(own).toEqual([{ name }]);
      expect(others).toEqual([]);
      await database.close();
    }
  });
});

test("a server that is killed comes back with what was committed", async () => {
  const server = await startPostgres();
  try {
    const url = await server.createDatabase();
    const before = await openDatabase<Schema>({ url, folder: "" }, things);
    await before.asOrg("acme", (t) =>
      t.insertInto("thing").values({ org_id: "acme", name: "kept" }).execute(),
    );
    await before.close();
    await server.kill();
    await server.restart();
    const after = await openDatabase<Schema>({ url, folder: "" }, things);
    const rows = await after.asOrg("acme", (t) => t.selectFrom("thing").select("name").execute());
    expect(rows).toEqual([{ name: "kept" }]);
    await after.close();
  } finally {
    await server.stop();
  }
});
