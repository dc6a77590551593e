/**
 * Two organizations, each with its data plane, on one control plane (claim ISO-1): every method of both planes, called
 * with the other organization's identifiers and with its tokens, and every table, asked as the other organization.
 */

import { type OrgId, Secret } from "@biplane/base";
import { controlColumns, dataColumns, rpcTable } from "@biplane/classification";
import { indexTable } from "@biplane/classification/control-table";
import { EnrollmentService, IndexService, LinkService } from "@biplane/control-wire";
import { createClientTransport, type Database, openDatabase } from "@biplane/kit";
import { type Belongings, makeBelongings } from "@biplane/verify/isolation/belongings";
import {
  signedInMethods,
  tryIndex,
  tryIndexAsStranger,
  tryRouter,
  tryRouterAsStranger,
} from "@biplane/verify/isolation/requests";
import { countRows, keysOfNobody, strangersRows, tenantTables } from "@biplane/verify/isolation/rows";
import { bearer } from "@biplane/verify/requests/bearer";
import { callMethod, routerMethods } from "@biplane/verify/requests/call-method";
import { fillRequest } from "@biplane/verify/requests/fill-request";
import { sayHello } from "@biplane/verify/requests/link-hello";
import { Code, createClient } from "@connectrpc/connect";
import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { controlMigrations } from "../../planes/control/store/migrations.ts";
import { type Enrollment, readEnrollment } from "../../planes/data/link/index.ts";
import { startTestPlane, type TestPlane } from "../../planes/data/plane.testing.ts";
import { dataMigrations } from "../../planes/data/store/migrations.ts";
import { startTestControlPlane, type TestControlPlane } from "../support/control-plane.ts";
import { describeOnBothDatabases } from "../support/postgres.ts";

interface Tenant extends Belongings {
  readonly plane: TestPlane;
  readonly enrollment: Enrollment;
  readonly token: string;
}

/** As its router makes it for the call of a program of its own. */
async function controlToken({ plane, token }: Tenant): Promise<Secret<string>> {
  const { authenticator, tokens } = plane.stores.identity;
  const principal = await authenticator.authenticate(`Bearer ${token}`, { kind: "public", address: "" });
  return tokens.controlToken(principal);
}

describeOnBothDatabases("two organizations on one control plane", (fresh) => {
  let control: TestControlPlane;
  let acme: Tenant;
  let globex: Tenant;

  beforeAll(async () => {
    control = await startTestControlPlane(await fresh());
    acme = await open("acme");
    globex = await open("globex");
  });
  afterAll(async () => {
    await acme?.plane.close();
    await globex?.plane.close();
    await control?.close();
  });

  async function open(org: string): Promise<Tenant> {
    let enrollment: Enrollment | undefined;
    const plane = await startTestPlane({
      org: org as OrgId,
      control,
      databaseUrl: (await fresh()).url,
      prepare: async (paths) => {
        enrollment = await readEnrollment(paths.link);
      },
    });
    const { token } = await plane.client("Admin");
    const belongings = await makeBelongings(org, plane.transport(token));
    return { plane, enrollment: enrollment!, token, ...belongings };
  }

  test("control: what is asked for below is there, for its own organization", async () => {
    for (const { plane, token, names, content } of [acme, globex]) {
      const reads = [
        "GetTaskDetails",
        "GetRunDetails",
        "GetActionDetails",
        "GetUser",
        "GetApiKey",
        "GetProject",
      ];
      for (const { name, desc } of routerMethods.filter((one) =>
        reads.some((read) => one.name.endsWith(read)),
      )) {
        if (name.includes("Records") || name.includes("TaskService/ListTasks")) continue;
        const { at } = rpcTable[name]!.resource;
        const outcome = await callMethod(plane.transport(token), desc, fillRequest(desc.input, names, at[0]));
        expect([name, outcome.code]).toEqual([name, "answered"]);
        if (name.endsWith("GetUser") || name.endsWith("GetApiKey")) expect(outcome.text).toContain(content);
      }
    }
  });

  test("each method of the data plane, with the other's identifiers: not found, or nothing of the other's", async () => {
    expect(await tryRouter(acme.plane.transport(acme.token), globex)).toEqual([]);
    expect(signedInMethods.length).toBeGreaterThan(60);
  });

  test("each method of the data plane, with the other's token: unauthenticated", async () => {
    expect(await tryRouterAsStranger(acme.plane.transport(globex.token), acme.names)).toEqual([]);
  });

  /** To the control plane, with acme's certificate and this token. */
  const index = (token: Secret<string>) =>
    createClientTransport({
      baseUrl: `https://${acme.enrollment.linkAddress}`,
      tls: { authorityPem: acme.enrollment.providerRootPem, identity: acme.enrollment.identity },
      interceptors: [bearer(token.reveal())],
    });

  test("each method of the index, with the other's identifiers: not found, or nothing of the other's", async () => {
    expect(await tryIndex(index(await controlToken(acme)), globex)).toEqual([]);
    expect(IndexService.methods.map(({ localName }) => localName).sort()).toEqual(
      Object.keys(indexTable).sort(),
    );
  });

  test("each method of the index, with the other's token: unauthenticated", async () => {
    expect(await tryIndexAsStranger(index(await controlToken(globex)), acme.names)).toEqual([]);
  });

  test("a link in the other's name, and an enrollment with the other's code: refused", async () => {
    const transport = index(new Secret("none"));
    expect(await sayHello(transport, { org: "globex", cluster: "home" })).toBe(Code.PermissionDenied);
    const code = JSON.parse(Buffer.from(await control.code("globex", "further"), "base64url").toString()) as {
      secret: string;
    };
    const codeProof = new Uint8Array(
      await crypto.subtle.digest("SHA-256", Buffer.from(code.secret, "base64url")),
    );
    const enroll = createClient(EnrollmentService, transport).enroll({
      org: "acme",
      cluster: "further",
      codeProof,
    });
    await expect(enroll).rejects.toMatchObject({ code: Code.PermissionDenied });
    const served = [LinkService, EnrollmentService].flatMap(({ methods: all }) =>
      all.map(({ name }) => name),
    );
    expect(served.sort(), "a method that is new here needs its own case").toEqual([
      "Connect",
      "Enroll",
      "Renew",
    ]);
  });
});

describe.each([
  { plane: "control plane", migrations: controlMigrations, columns: controlColumns },
  { plane: "data plane", migrations: dataMigrations, columns: dataColumns },
])("every table of the $plane", ({ migrations, columns }) => {
  describeOnBothDatabases("as the application role", (fresh) => {
    let database: Database<unknown>;
    let tables: string[];

    beforeAll(async () => {
      database = await openDatabase<unknown>(await fresh(), migrations);
      tables = await tenantTables(database.kysely);
      for (const table of tables) for (const org of ["acme", "globex"]) await addRow(table, org);
    });
    afterAll(() => database?.close());

    /** One row of no meaning in each table, by the types of its columns. */
    async function addRow(table: string, org: string): Promise<void> {
      const { rows } = await sql<{ name: string; type: string }>`
        select column_name as name, data_type as type from information_schema.columns
        where table_schema = 'public' and table_name = ${table} and is_generated = 'NEVER'
        order by ordinal_position`.execute(database.kysely);
      const values = rows.map(({ name, type }) => (name === "org_id" ? sql`${org}` : sampleOf(type)));
      await sql`insert into ${sql.table(table)} (${sql.join(rows.map(({ name }) => sql.id(name)))})
        values (${sql.join(values)})`.execute(database.kysely);
    }

    test("shows, changes, deletes and gives away no row of another organization (claim ISO-1)", async () => {
      expect(tables).toEqual(tablesIn(columns));
      const counts = (org: string) => countRows(database, org, tables);
      expect(await counts("acme"), "control: its own row is there").toEqual(
        new Map(tables.map((name) => [name, 1])),
      );
      for (const stranger of ["globex", "nobody", ""])
        expect(await strangersRows(database, { owner: "acme", stranger, tables }), stranger).toEqual([]);
      expect(await counts("acme"), "and stays").toEqual(await counts("globex"));
    });

    test("control: a table without row-level security is found, by each of the ways (claim ISO-1)", async () => {
      const table = sql.table(tables[0]!);
      await sql`alter table ${table} disable row level security`.execute(database.kysely);
      const who = { owner: "acme", stranger: "globex", tables };
      const found = await strangersRows(database, who).finally(() =>
        sql`alter table ${table} enable row level security`.execute(database.kysely),
      );
      expect(found.map((one) => one.replace(`${tables[0]}: `, ""))).toEqual([
        "1 rows are seen by globex",
        "1 rows were updated by globex",
        "1 rows were deleted by globex",
        "a row was given to another organization",
      ]);
    });

    test("has its organization first in its primary key (claim ISO-1)", async () => {
      expect(await keysOfNobody(database.kysely, tables)).toEqual([]);
    });
  });
});

function sampleOf(type: string) {
  const samples: Readonly<Record<string, ReturnType<typeof sql>>> = {
    text: sql`'x'`,
    bytea: sql`'\\x00'::bytea`,
    boolean: sql`true`,
    ARRAY: sql`'{}'`,
    jsonb: sql`'{}'::jsonb`,
  };
  return samples[type] ?? sql`1`;
}

/** The migrations' own two tables hold no organization's rows, and the application role may not touch them. */
function tablesIn(columns: object): string[] {
  return Object.keys(columns)
    .filter((table) => !table.startsWith("kysely_"))
    .sort();
}
