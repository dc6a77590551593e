/**
 * Two organizations, each with its data plane, on one control plane (claim ISO-1): every method of both planes, called
 * with the other organization's identifiers and with its tokens, and every table, asked as the other organization.
 */

import { type OrgId, Secret } from "@biplane/base";
import { controlColumns, dataColumns, rpcTable } from "@biplane/classification";
import { indexTable } from "@biplane/classification/control-table";
import { EnrollmentService, IndexService, LinkService } from "@biplane/control-wire";
import { flyte, identity as people } from "@biplane/data-wire";
import { createClientTransport, type Database, openDatabase } from "@biplane/kit";
import { callMethod, routerMethods } from "@biplane/verify/requests/call-method";
import { fillRequest, type Names, namesOrganization } from "@biplane/verify/requests/fill-request";
import type { DescMethod } from "@bufbuild/protobuf";
import { Code, createClient } from "@connectrpc/connect";
import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { controlMigrations } from "../../planes/control/store/migrations.ts";
import { type Enrollment, readEnrollment } from "../../planes/data/link/index.ts";
import { startTestPlane, type TestPlane } from "../../planes/data/plane.testing.ts";
import { dataMigrations } from "../../planes/data/store/migrations.ts";
import { startTestControlPlane, type TestControlPlane } from "../support/control-plane.ts";
import { LinkPeer } from "../support/link-peer.ts";
import { describeOnBothDatabases } from "../support/postgres.ts";

interface Tenant {
  readonly plane: TestPlane;
  readonly enrollment: Enrollment;
  readonly token: string;
  readonly names: Names;
  /** What nobody says who only knows the names. */
  readonly content: string;
}

/** Without a name of anybody's in the request, or making something new: they answer about the caller's own organization. */
const aboutOneself = new Set([
  "flyteidl2.auth.IdentityService/UserInfo",
  "biplane.data.v1.ControlPlaneRecordsService/ListProjects",
  "biplane.data.v1.ControlPlaneRecordsService/ListClusters",
  "biplane.data.v1.ControlPlaneRecordsService/ListRuns",
  "biplane.data.v1.ControlPlaneRecordsService/ListTasks",
  "biplane.data.v1.BorderService/ReadLedger",
  "biplane.data.v1.AuditService/GetLog",
  "biplane.data.v1.AuditService/ReadRecords",
  "biplane.data.v1.ObjectsService/ListObjects",
  // It names nobody: the organization is the caller's own.
  "biplane.data.v1.ResidencyService/RestrictOrganization",
  "biplane.data.v1.KeysService/ListKeys",
  // Names of keys are the organization's own to give.
  "biplane.data.v1.KeysService/RotateKey",
  "biplane.data.v1.KeysService/AssignKey",
  "biplane.data.v1.UserService/ListUsers",
  "biplane.data.v1.ApiKeyService/ListApiKeys",
  "biplane.data.v1.AuthorityService/ListSigningKeys",
  "biplane.data.v1.AuthorityService/RotateSigningKeys",
  "biplane.data.v1.MembershipService/GetClusterList",
  "biplane.data.v1.ResidencyService/GetRegions",
  "biplane.data.v1.ResidencyService/ListDestinations",
  // Names of roles as well; the first of these makes what the next ones find.
  "biplane.data.v1.PolicyService/CreateRole",
  "biplane.data.v1.PolicyService/GetRole",
  "biplane.data.v1.PolicyService/ListRoles",
  "biplane.data.v1.PolicyService/UpdateRole",
  "biplane.data.v1.PolicyService/DeleteRole",
  "biplane.data.v1.PolicyService/ListAssignments",
  "biplane.data.v1.PolicyService/GetPolicy",
]);

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
    const transport = plane.transport(token);
    const content = `content-of-${org}`;
    const [project, domain, run] = [`${org}-project`, "development", `${org}-run`];
    await createClient(flyte.project.ProjectService, transport).createProject({
      project: { id: project, name: content, org },
    });
    const { user } = await createClient(people.UserService, transport).createUser({
      email: `ada@${org}.test`,
      name: content,
    });
    const made = await createClient(people.ApiKeyService, transport).createApiKey({ name: content });
    const taskId = { org, project, domain, name: `${org}-task`, version: "v1" };
    const container = { image: content, command: [content], args: [] };
    const taskSpec = {
      taskTemplate: { id: taskId, target: { case: "container" as const, value: container } },
    };
    await createClient(flyte.task.TaskService, transport).deployTask({ taskId, spec: taskSpec });
    await createClient(flyte.workflow.RunService, transport).createRun({
      id: { case: "runId", value: { org, project, domain, name: run } },
      task: { case: "taskId", value: taskId },
    });
    const names = {
      org,
      project,
      domain,
      run,
      task: `${org}-task`,
      version: "v1",
      cluster: `${org}-cluster`,
    };
    return {
      plane,
      enrollment: enrollment!,
      token,
      content,
      names: { ...names, user: user!.subject, key: made.key!.id },
    };
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
    const transport = acme.plane.transport(acme.token);
    const found: string[] = [];
    for (const { name, desc } of routerMethods) {
      if (rpcTable[name]!.permission === "anonymous") continue;
      const choice = rpcTable[name]!.resource.at[0];
      const outcome = await callMethod(transport, desc, fillRequest(desc.input, globex.names, choice));
      expect(outcome.text, name).not.toContain(globex.content);
      const carries = namesOrganization(desc.input, globex.names, choice);
      if (carries && outcome.code !== Code.NotFound) found.push(`${name}: ${outcome.code} ${outcome.text}`);
      if (!carries && outcome.code === "answered" && !aboutOneself.has(name)) found.push(`${name} answered`);
    }
    expect(found).toEqual([]);
    expect(routerMethods.length).toBeGreaterThan(60);
  });

  test("each method of the data plane, with the other's token: unauthenticated", async () => {
    const transport = acme.plane.transport(globex.token);
    for (const { name, desc } of routerMethods) {
      if (rpcTable[name]!.permission === "anonymous") continue;
      const request = fillRequest(desc.input, acme.names, rpcTable[name]!.resource.at[0]);
      expect([name, (await callMethod(transport, desc, request)).code]).toEqual([name, Code.Unauthenticated]);
    }
  });

  /** To the control plane, with acme's certificate and this token. */
  const index = (token: Secret<string>) =>
    createClientTransport({
      baseUrl: `https://${acme.enrollment.linkAddress}`,
      tls: { authorityPem: acme.enrollment.providerRootPem, identity: acme.enrollment.identity },
      interceptors: [
        (next) => (request) => {
          request.header.set("authorization", `Bearer ${token.reveal()}`);
          return next(request);
        },
      ],
    });

  test("each method of the index, with the other's identifiers: not found, or nothing of the other's", async () => {
    const transport = index(await controlToken(acme));
    const found: string[] = [];
    const others = IndexService.methods.filter(({ name }) => name !== "CreateProject");
    // Last: it makes a project of acme's own under the same name.
    for (const desc of [...others, IndexService.method.createProject] as readonly DescMethod[]) {
      const outcome = await callMethod(transport, desc, fillRequest(desc.input, globex.names));
      expect(outcome.text, desc.name).not.toContain(globex.content);
      if (namesOrganization(desc.input, globex.names) && outcome.code !== Code.NotFound) {
        found.push(`${desc.name}: ${outcome.code} ${outcome.text}`);
      }
      if (["GetProject", "UpdateProject", "Place"].includes(desc.name) && outcome.code !== Code.NotFound) {
        found.push(`${desc.name}: ${outcome.code} ${outcome.text}`);
      }
    }
    expect(found).toEqual([]);
    expect(IndexService.methods.map(({ localName }) => localName).sort()).toEqual(
      Object.keys(indexTable).sort(),
    );
  });

  test("each method of the index, with the other's token: unauthenticated", async () => {
    const transport = index(await controlToken(globex));
    for (const desc of IndexService.methods as readonly DescMethod[]) {
      const outcome = await callMethod(transport, desc, fillRequest(desc.input, acme.names));
      expect([desc.name, outcome.code]).toEqual([desc.name, Code.Unauthenticated]);
    }
  });

  test("a link in the other's name, and an enrollment with the other's code: refused", async () => {
    const { enrollment } = acme;
    const transport = () => index(new Secret("none"));
    const peer = new LinkPeer({ enrollment, transport } as never);
    peer.hello({ org: "globex", cluster: "home" });
    expect(await peer.ended()).toMatchObject({ code: Code.PermissionDenied });
    const code = JSON.parse(Buffer.from(await control.code("globex", "further"), "base64url").toString()) as {
      secret: string;
    };
    const codeProof = new Uint8Array(
      await crypto.subtle.digest("SHA-256", Buffer.from(code.secret, "base64url")),
    );
    const enroll = createClient(EnrollmentService, transport()).enroll({
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
      const { rows } = await sql<{ name: string }>`select c.relname as name from pg_class c
        join pg_namespace n on n.oid = c.relnamespace where c.relkind in ('r', 'p') and n.nspname = 'public'
        and c.relname not like 'kysely_migration%' order by 1`.execute(database.kysely);
      tables = rows.map(({ name }) => name);
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

    const count = (org: string, query: (table: string) => ReturnType<typeof sql<{ count: number }>>) =>
      database.asOrg(org, async (transaction) => {
        const counts: Record<string, number> = {};
        for (const table of tables) {
          counts[table] = Number((await query(table).execute(transaction)).rows[0]!.count);
        }
        return counts;
      });
    const all = (value: number) => Object.fromEntries(tables.map((table) => [table, value]));

    test("shows no row of another organization, and its own ones to each (claim ISO-1)", async () => {
      expect(tables).toEqual(tablesIn(columns));
      const ofAcme = (table: string) =>
        sql<{ count: number }>`select count(*) as count from ${sql.table(table)} where org_id = 'acme'`;
      expect(await count("globex", ofAcme)).toEqual(all(0));
      expect(await count("acme", ofAcme), "control: its own row is there").toEqual(all(1));
      const every = (table: string) =>
        sql<{ count: number }>`select count(*) as count from ${sql.table(table)}`;
      expect(await count("globex", every)).toEqual(all(1));
      expect(await count("nobody", every)).toEqual(all(0));
      expect(await count("", every), "where no organization was set").toEqual(all(0));
    });

    test("changes, deletes and adds nothing of another organization (claim ISO-1)", async () => {
      for (const table of tables) {
        const name = sql.table(table);
        const changed = await database.asOrg("globex", async (transaction) => {
          const updated = await sql`update ${name} set org_id = 'globex' where org_id = 'acme'`.execute(
            transaction,
          );
          const deleted = await sql`delete from ${name} where org_id = 'acme'`.execute(transaction);
          return [updated.numAffectedRows ?? 0n, deleted.numAffectedRows ?? 0n];
        });
        expect([table, ...changed.map(Number)]).toEqual([table, 0, 0]);
        const moved = database.asOrg("globex", (transaction) =>
          sql`update ${name} set org_id = 'acme'`.execute(transaction),
        );
        await expect(moved, table).rejects.toThrow(/row-level security/);
      }
    });

    test("has its organization first in its primary key (claim ISO-1)", async () => {
      const { rows } = await sql<{ name: string; first: string }>`
        select c.relname as name, a.attname as first from pg_index i join pg_class c on c.oid = i.indrelid
        join pg_namespace n on n.oid = c.relnamespace
        join pg_attribute a on a.attrelid = c.oid and a.attnum = i.indkey[0]
        where i.indisprimary and n.nspname = 'public' and c.relname not like 'kysely_migration%'
        order by 1`.execute(database.kysely);
      expect(rows).toEqual(tables.map((name) => ({ name, first: "org_id" })));
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
