/** ISO-1: tenants are separated by organization, in every request and beneath it in the database. */
import { IndexService } from "@biplane/control-wire";
import { createClientTransport } from "@biplane/kit/connect-client";
import { Code } from "@connectrpc/connect";
import { sql } from "kysely";
import type { Claim } from "../frame/claim.ts";
import type { Observations } from "../frame/observations.ts";
import type { Subject } from "../frame/subject.ts";
import { type Belongings, makeBelongings } from "../isolation/belongings.ts";
import {
  signedInMethods,
  tryIndex,
  tryIndexAsStranger,
  tryRouter,
  tryRouterAsStranger,
} from "../isolation/requests.ts";
import { countRows, keysOfNobody, strangersRows, tenantTables } from "../isolation/rows.ts";
import { openIndexCaller } from "../requests/index-caller.ts";
import { sayHello } from "../requests/link-hello.ts";
import { routerAs } from "../requests/router-as.ts";
import { enrollmentOf } from "../scenes/certificates.ts";
import { type PlaneDatabase, planeDatabases } from "../scenes/plane-databases.ts";
import { type Tenant, tenants, tenantsWords } from "../scenes/tenants.ts";

/** Of another organization, and of a program that forgot to say whose. */
const strangers = ["somebody-else", ""];

export const iso1: Claim = {
  id: "ISO-1",
  text: "Tenants are separated by organization in every primary key, in every query, and by row-level security beneath it.",
  from: "machine",
  msMax: 240_000,

  async prove(subject, seen) {
    for (const one of await subject.scene(planeDatabases)) await tryDatabase(subject, one, seen);
    const { own, other } = await subject.scene(tenants);
    seen.note(
      `started ${tenantsWords} on one control plane; each has a project, people, keys, tasks and runs.`,
    );
    const { ofOwn, ofOther } = await subject.scene(belongings);
    seen.none(
      `called each of the ${signedInMethods.length} methods of a router with the other organization's identifiers: not found, or nothing of it`,
      await tryRouter(own.connection.router, ofOther),
    );
    const [ownToken, token] = await Promise.all(
      [own, other].map(({ connection }) => connection.tokens.token(false)),
    );
    const [caller, others] = await Promise.all([own, other].map(({ state }) => openIndexCaller(state)));
    seen.none(
      "called each of them with the other organization's token: unauthenticated",
      await tryRouterAsStranger(routerAs(own.profile, token!), ofOwn.names),
    );
    seen.none(
      `called each of the ${IndexService.methods.length} methods of the control plane's index with a cluster's own certificate and the other organization's identifiers`,
      await tryIndex(caller!.actingFor(ownToken!), ofOther),
    );
    seen.none(
      "called each of them with the other organization's token",
      await tryIndexAsStranger(caller!.showing(await others!.controlToken(token!)), ofOwn.names),
    );
    const answer = await beginLink(own, other);
    seen.holds(
      "began a link in the other organization's name",
      answer === Code.PermissionDenied,
      answer === "answered" ? "it was answered" : `refused: ${Code[answer]}`,
    );
    const reads = signedInMethods.filter(({ name }) => name.endsWith("/GetRunDetails"));
    const isThere = (await tryRouter(other.connection.router, ofOther, reads)).length > 0;
    seen.holds(
      "looked for the other's run as the other organization itself",
      isThere,
      isThere ? "it is there" : "it is NOT there",
    );
  },

  async control(subject, seen) {
    const areRowsFound: boolean[] = [];
    for (const one of await subject.scene(planeDatabases))
      areRowsFound.push(await openedTableIsCaught(subject, one, seen));
    const { own } = await subject.scene(tenants);
    const { ofOwn } = await subject.scene(belongings);
    const reads = signedInMethods.filter(({ name }) => /\/(GetRunDetails|GetUser|GetProject)$/.test(name));
    const isRequestFound = seen.caught(
      "an organization's own identifiers, judged as if they were another's",
      await tryRouter(own.connection.router, ofOwn, reads),
      /GetRunDetails: answered/,
    );
    return areRowsFound.every(Boolean) && isRequestFound;
  },
};

async function belongings(subject: Subject): Promise<{ ofOwn: Belongings; ofOther: Belongings }> {
  const { own, other } = await subject.scene(tenants);
  const [ofOwn, ofOther] = await Promise.all(
    [own, other].map(({ org, connection }) => makeBelongings(org, connection.router)),
  );
  return { ofOwn: ofOwn!, ofOther: ofOther! };
}

/** On this installation, as its databases are now. */
async function tryDatabase(
  { connection }: Subject,
  { plane, database }: PlaneDatabase,
  seen: Observations,
): Promise<void> {
  const tables = await tenantTables(database.kysely);
  const owner = connection.profile.org;
  const counts = await countRows(database, owner, tables);
  const filled = tables.filter((table) => counts.get(table)! > 0);
  const rows = filled.reduce((sum, table) => sum + counts.get(table)!, 0);
  seen.holds(
    `asked each of the ${tables.length} tables of the ${plane} plane's database as its application role in the organization's name`,
    rows > 0,
    `${rows} rows in ${filled.length} tables`,
  );
  const found: string[] = [];
  for (const stranger of strangers)
    found.push(...(await strangersRows(database, { owner, stranger, tables })));
  seen.none(
    "read, changed, deleted and gave away rows in another organization's name, and in nobody's",
    found,
  );
  seen.none("looked at what each primary key begins with", await keysOfNobody(database.kysely, tables));
}

async function beginLink(own: Tenant, other: Tenant) {
  const { linkAddress, providerRootPem, identity } = await enrollmentOf(own.state);
  const tls = { authorityPem: providerRootPem, identity };
  return sayHello(createClientTransport({ baseUrl: `https://${linkAddress}`, tls }), other);
}

/** On a copy somebody takes the table's row-level security away; of a database that is in use, it is left as it is. */
async function openedTableIsCaught(
  { connection }: Subject,
  { plane, database }: PlaneDatabase,
  seen: Observations,
): Promise<boolean> {
  const owner = connection.profile.org;
  const [table, stranger] = ["run", strangers[0]!];
  if (database.kind === "postgres") {
    const counts = await countRows(database, owner, [table]);
    const found = [...counts].map(([name, count]) => `${name}: ${count} rows are seen`);
    return seen.caught("the organization's own rows, judged as if they were another's", found, /: [1-9]/);
  }
  const { kysely } = database;
  await sql`alter table ${sql.table(table)} disable row level security`.execute(kysely);
  const found = await strangersRows(database, { owner, stranger, tables: [table] });
  await sql`alter table ${sql.table(table)} enable row level security`.execute(kysely);
  return seen.caught(
    `the table ${table} without its row-level security, in a copy of the ${plane} plane's database`,
    found,
    /^run: [1-9]\d* rows are seen by/,
  );
}
