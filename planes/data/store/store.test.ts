import type { ActionId, Digest } from "@biplane/base";
import { Phase } from "@biplane/control-wire";
import { sql } from "kysely";
import { afterAll, beforeAll, expect, test } from "vitest";
import { describeOnBothDatabases } from "../../../tests/support/postgres.ts";
import {
  attemptOf,
  child,
  type Fixture,
  failure,
  leaseNow,
  openFixture,
  org,
  scope,
  startRun,
} from "../runs/engine.testing.ts";

const tables = ["run", "action", "document", "task", "outbox", "repeat_key", "intent_nonce", "incarnation"];

describeOnBothDatabases("The data plane's database", (fresh) => {
  let fixture: Fixture;
  beforeAll(async () => {
    fixture = await openFixture(await fresh());
    const root = await startRun(fixture, {
      ...{ labels: { team: "canary-label" }, name: "canary-name", runName: "canary-run", repeatKey: "key" },
    });
    await fixture.runs.enqueueChildren(attemptOf(root), [
      {
        ...child("part", { name: "canary-name" }),
        group: "canary-group",
        inputUri: "s3://biplane/canary-uri",
      },
    ]);
    await fixture.runs.recordTraces(attemptOf(root), [
      {
        ...{ name: child("step").name, functionName: "canary-step", group: "", startedAtMs: 1, endedAtMs: 2 },
        ...{
          outputUri: "s3://biplane/canary-uri",
          phase: Phase.SUCCEEDED,
          failure: undefined,
          spec: undefined,
        },
      },
    ]);
    const part = await leaseNow(fixture);
    await fixture.queue.finish(attemptOf(part), failure({ recoverable: false, message: "canary-message" }));
    await fixture.runs.abortRun(root, { reason: "canary-reason", by: "user" });
  });
  afterAll(() => fixture.close());

  /** Every value of every row as text, and every value of bytes as text too. */
  async function contentOf(table: string): Promise<string> {
    const { rows } = await fixture.options.database.asOrg(org, (transaction) =>
      sql<Record<string, unknown>>`select * from ${sql.table(table)}`.execute(transaction),
    );
    const texts = rows.flatMap((row) =>
      Object.values(row).map((value) =>
        value instanceof Uint8Array ? Buffer.from(value).toString("latin1") : String(value),
      ),
    );
    return texts.join("\n");
  }

  test("holds what people and programs wrote sealed only, and names in the clear (claim REST-1)", async () => {
    const content = (await Promise.all(tables.map(contentOf))).join("\n");
    for (const canary of ["label", "group", "uri", "message", "reason", "step"]) {
      expect(content.includes(`canary-${canary}`), canary).toBe(false);
    }
    // Control: the search finds what may be there.
    expect(content).toContain("canary-name");
    expect(content).toContain("canary-run");
  });

  test("shows another organization nothing, and takes nothing in its name (claim ISO-1)", async () => {
    for (const table of tables) {
      const { rows } = await fixture.options.database.asOrg("other", (transaction) =>
        sql`select * from ${sql.table(table)}`.execute(transaction),
      );
      expect(rows, table).toEqual([]);
    }
    const forged = fixture.options.database.asOrg("other", (transaction) =>
      transaction
        .insertInto("document")
        .values({ org_id: org, project: "flights", digest: "d", content: Buffer.alloc(1) })
        .execute(),
    );
    await expect(forged).rejects.toThrow(/row-level security/);
  });

  test("begins every primary key with the organization", async () => {
    const { rows } = await sql<{ table: string; first: string }>`
      select c.relname as table, a.attname as first from pg_index i
      join pg_class c on c.oid = i.indrelid
      join pg_namespace n on n.oid = c.relnamespace and n.nspname = 'public'
      join pg_attribute a on a.attrelid = c.oid and a.attnum = i.indkey[0]
      where i.indisprimary and c.relname not like 'kysely%'`.execute(fixture.options.database.kysely);
    expect(rows.map(({ table }) => table)).toEqual(expect.arrayContaining(tables));
    for (const { table, first } of rows) expect(first, table).toBe("org_id");
  });

  test("refuses a document and a text under the project's key that were moved to another row (claim CMK-1)", async () => {
    const { rows } = await sql<{ digest: Digest; content: Uint8Array }>`
      select digest, content from document`.execute(fixture.options.database.kysely);
    const [one, other] = rows;
    const moveTo = (content: Uint8Array) =>
      sql`update document set content = ${content} where digest = ${one!.digest}`.execute(
        fixture.options.database.kysely,
      );
    await moveTo(other!.content);
    await fixture.reopen();
    await expect(fixture.runs.document("flights", one!.digest)).rejects.toMatchObject({ code: "data_loss" });
    // Control: at its own place the same value opens.
    await moveTo(one!.content);
    await expect(fixture.runs.document("flights", one!.digest)).resolves.toBeInstanceOf(Uint8Array);

    const part = await fixture.runs.getAction(idOf("part"));
    expect(await fixture.runs.withTexts(part)).toMatchObject({ failure: { message: "canary-message" } });
    const moved = fixture.runs.withTexts({ ...part, run: "another-run" as typeof part.run });
    await expect(moved).rejects.toMatchObject({ code: "data_loss" });
  });

  test("refuses a sealed value that was moved to another row", async () => {
    const { kysely } = fixture.options.database;
    await sql`update action set detail = (select detail from action where name = 'a0') where name = 'part'`.execute(
      kysely,
    );
    await expect(fixture.runs.getAction(idOf("part"))).rejects.toMatchObject({ code: "data_loss" });
  });

  function idOf(action: string): ActionId {
    return { ...scope, run: "canary-run", action } as ActionId;
  }
});
