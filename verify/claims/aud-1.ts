/** AUD-1: every request in both planes is on record, refused ones too. */
import { type AuditRecord, decodeAuditRecord } from "@biplane/audit";
import { planeNumbers } from "@biplane/cli/commands/audit-verify";
import type { RoleName } from "@biplane/identity";
import type { Connection } from "@biplane/sdk/remote";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { Transport } from "@connectrpc/connect";
import type { Claim } from "../frame/claim.ts";
import { eventually } from "../frame/eventually.ts";
import type { Observations } from "../frame/observations.ts";
import type { Subject } from "../frame/subject.ts";
import type { Names } from "../requests/fill-request.ts";
import { type IndexCaller, openIndexCaller } from "../requests/index-caller.ts";
import { makeProgram, type Program, type ProgramScope } from "../requests/programs.ts";
import {
  type Called,
  callIndexMethods,
  callRouterMethods,
  problemsAtControlPlane,
  problemsAtRouter,
  recordsOf,
} from "../requests/recorded-calls.ts";
import { routerAs } from "../requests/router-as.ts";
import { twoClusters, twoClustersWords } from "../scenes/two-clusters.ts";

const roles: readonly RoleName[] = ["Admin", "Contributor", "Viewer"];
/** What the calls name: a project that only they have to do with, and things that are nowhere. */
const ownProject = "verify-calls";
/** Watches that a client left early are on record a moment after that. */
const recordedMsMax = 15_000;
/** The planes have clocks of their own. */
const clockSlackMs = 5_000;

export const aud1: Claim = {
  id: "AUD-1",
  text: "Every API request in both planes is recorded with identity, action, resource, decision, time, source address and request id; refused ones too.",
  from: "machine",
  msMax: 180_000,

  async prove(subject, seen) {
    const { connection, planes } = subject;
    const here = { connection, caller: await openIndexCaller(planes.data.state) };
    for (const role of roles)
      await proveProgram(subject, here, { role, scope: { project: ownProject } }, seen);
    await proveStranger(here, seen);
    const { system, client } = await subject.scene(twoClusters);
    seen.note(
      `as an administrator of everything, who could do harm here, in ${twoClustersWords} from here on.`,
    );
    const there = { connection: client.connection, caller: await openIndexCaller(system.folders.data) };
    await proveProgram(subject, there, { role: "Admin", scope: {} }, seen);
  },

  async control(subject, seen) {
    const { connection } = subject;
    const { id, token } = await temporaryProgram(subject, connection, "Viewer", { project: ownProject });
    const batch = await routerBatch({ connection, words: "a viewer", subject: id, token });
    const own = recordsOf(batch.called, await recordsFor(connection, batch));
    const [record, ...others] = own;
    seen.none(`the records of ${batch.called.length} calls as they are`, batch.problems(own));
    if (record === undefined) return false;
    const planted: readonly (readonly [what: string, records: AuditRecord[], about: RegExp])[] = [
      ["a call whose record is gone", others, /has 0 records/],
      ["a call that is on record twice", [...own, record], /has 2 records/],
      ["a record without an address", [{ ...record, address: "" }, ...others], /lacks its address/],
      ["a record in another's name", [{ ...record, subject: "nobody" }, ...others], /has subject nobody/],
    ];
    return planted
      .map(([what, records, about]) => seen.caught(what, batch.problems(records), about))
      .every(Boolean);
  },
};

interface Installation {
  readonly connection: Connection;
  readonly caller: IndexCaller;
}

interface Batch {
  readonly plane: "data" | "control";
  readonly words: string;
  readonly called: readonly Called[];
  readonly startMs: number;
  problems(records: readonly AuditRecord[]): string[];
}

async function proveProgram(
  subject: Subject,
  { connection, caller }: Installation,
  { role, scope }: { readonly role: RoleName; readonly scope: ProgramScope },
  seen: Observations,
): Promise<void> {
  const { id, token } = await temporaryProgram(subject, connection, role, scope);
  const words = `a program that is ${role} of ${scope.project ?? "everything"}`;
  await judge(connection, await routerBatch({ connection, words, subject: id, token }), seen);
  const transport = caller.actingFor(token);
  await judge(connection, await indexBatch({ connection, caller, words, subject: id, transport }), seen);
}

async function proveStranger({ connection, caller }: Installation, seen: Observations): Promise<void> {
  const [words, token] = ["a stranger", "nobodys.own.token"];
  await judge(connection, await routerBatch({ connection, words, subject: "", token }), seen);
  const transport = caller.showing(token);
  await judge(connection, await indexBatch({ connection, caller, words, subject: "", transport }), seen);
}

async function routerBatch(parts: {
  readonly connection: Connection;
  readonly words: string;
  readonly subject: string;
  readonly token: string;
}): Promise<Batch> {
  const { connection, words, subject, token } = parts;
  const startMs = Date.now();
  const called = await callRouterMethods(routerAs(connection.profile, token), namesAt(connection));
  const problems = (all: readonly AuditRecord[]) => problemsAtRouter(called, all, subject);
  return { plane: "data", words: `every method of the router as ${words}`, called, startMs, problems };
}

async function indexBatch(parts: {
  readonly connection: Connection;
  readonly caller: IndexCaller;
  readonly words: string;
  readonly subject: string;
  readonly transport: Transport;
}): Promise<Batch> {
  const { connection, caller, words, subject, transport } = parts;
  const startMs = Date.now();
  const called = await callIndexMethods(transport, namesAt(connection));
  const problems = (all: readonly AuditRecord[]) =>
    problemsAtControlPlane(called, all, subject, caller.cluster);
  return {
    plane: "control",
    words: `every method of the control plane as ${words}`,
    called,
    startMs,
    problems,
  };
}

async function judge(connection: Connection, batch: Batch, seen: Observations): Promise<void> {
  const { words, called } = batch;
  const all = await recordsFor(connection, batch);
  const own = recordsOf(called, all);
  const refused = own.filter(({ decision }) => decision !== "allowed").length;
  seen.none(
    `called ${words}: ${called.length} calls, ${own.length} records, ${refused} of them refused`,
    batch.problems(all),
  );
}

/** All there are, once there are enough of them; then it is up to the check to say what is wrong. */
async function recordsFor({ audit }: Connection, { plane, called, startMs }: Batch): Promise<AuditRecord[]> {
  const since = timestampFromMs(startMs - clockSlackMs);
  let found: AuditRecord[] = [];
  const read = async () => {
    found = [];
    for await (const { record } of audit.readRecords({ plane: planeNumbers[plane], since }))
      found.push(decodeAuditRecord(record));
    return recordsOf(called, found).length;
  };
  const what = `${called.length} records`;
  await eventually(read, (count) => count >= called.length, { withinMs: recordedMsMax, what }).catch(() => 0);
  return found;
}

async function temporaryProgram(
  subject: Subject,
  connection: Connection,
  role: RoleName,
  scope: ProgramScope,
): Promise<Program> {
  const program = await makeProgram(connection, role, scope);
  subject.undo.add(() => connection.apiKeys.deleteApiKey({ id: program.id }));
  return program;
}

function namesAt({ profile: { org } }: Connection): Names {
  const place = { org, project: ownProject, domain: "development", run: "never-was", cluster: "no-cluster" };
  return { ...place, task: "no-task", version: "v1", user: "nobody", key: "no-key" };
}
