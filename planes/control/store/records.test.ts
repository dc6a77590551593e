/** What a control plane keeps after all kinds of messages, against the register: its values, its fields, what it tells. */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import {
  controlColumns,
  findDifferences,
  findUnfitValues,
  ownColumns,
  type ProjectedTable,
  projectedFields,
} from "@biplane/classification";
import { FailureKind, IndexService, Phase } from "@biplane/control-wire";
import { deriveKey, readOrCreateKeyFile, sealColumn } from "@biplane/kit";
import { openedRows } from "@biplane/verify/search/opened-rows";
import type { Message } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { sql } from "kysely";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  allow,
  createOrganization,
  enrollCluster,
  removeClusterFolders,
  startTestControlPlane,
  type TestCluster,
  type TestControlPlane,
} from "../../../tests/support/control-plane.ts";
import {
  actionUpdated,
  digestOf,
  domain,
  event,
  LinkPeer,
  project,
  runCreated,
  runUpdated,
} from "../../../tests/support/link-peer.ts";
import { describeOnBothDatabases } from "../../../tests/support/postgres.ts";

const org = "acme";
const tables: readonly ProjectedTable[] = ["task", "run", "action", "attempt"];

test("each column of a task, a run, an action, an attempt is of its projection or the plane's own (claim CLS-6)", () => {
  for (const table of tables) {
    const fields = projectedFields(table);
    expect(fields.filter(({ column }) => column === undefined)).toEqual([]);
    const known = new Set([...fields.map(({ column }) => column), ...ownColumns[table]]);
    expect([...known].sort(), table).toEqual(Object.keys(controlColumns[table]).sort());
  }
});

describeOnBothDatabases("What a control plane keeps", (fresh) => {
  let control: TestControlPlane;
  let home: TestCluster;
  let folder: string;
  let peer: LinkPeer;

  beforeAll(async () => {
    const database = await fresh();
    folder = database.folder;
    control = await startTestControlPlane(database);
    home = await enrollCluster(control, await createOrganization(org), "home");
    await allow(control, home.organization);
    const index = createClient(IndexService, home.transportAs("ada"));
    await index.createProject({ id: project, displayName: "Flights of 2001" });
    peer = new LinkPeer(home);
    const next = await peer.open();
    peer.events(eventsFrom(next + 1));
    await peer.next("ack");
  });
  afterAll(async () => {
    peer.close();
    await control.close();
    await removeClusterFolders();
    await rm(folder, { recursive: true, force: true });
  });

  const rows = () => openedRows(control.state.store, org);
  const unfit = async () =>
    (await rows()).flatMap(({ table, rows: all }) => all.flatMap((row) => findUnfitValues(table, row)));
  const unexpected = async () =>
    (await rows()).flatMap(({ table, columns }) =>
      columns
        .filter((name) => !Object.hasOwn(controlColumns[table as keyof typeof controlColumns] ?? {}, name))
        .map((name) => `${table}.${name}`),
    );
  const asOrg = (statement: ReturnType<typeof sql>) =>
    control.state.store.asOrg(org, (transaction) => statement.execute(transaction));

  test("holds only values that the register allows, in every column of every table (claim CLS-2)", async () => {
    const filled = (await rows()).filter(({ rows: all }) => all.length > 0).map(({ table }) => table);
    expect(filled).toEqual(expect.arrayContaining(["cluster", "project", ...tables]));
    expect(await unfit()).toEqual([]);
    expect(await unexpected()).toEqual([]);
  });

  test("is told as it is: each record of the index is what its row holds, field by field (claim CLS-6)", async () => {
    for (const [table, record] of await recordsOf(home)) {
      const all = (await rows()).find((one) => one.table === table)!.rows;
      expect(all, table).toHaveLength(1);
      expect(findDifferences(table, all[0]!, record)).toEqual([]);
    }
  });

  test("control: a record that tells other than its row is reported by the field's name (claim CLS-6)", async () => {
    const [, run] = (await recordsOf(home)).find(([table]) => table === "run")!;
    const row = (await rows()).find(({ table }) => table === "run")!.rows[0]!;
    const changed = { ...row, created_by_sealed: "mallory", ended_at: 1, task_name: "another" };
    expect(findDifferences("run", changed, run)).toEqual(["run.task.name", "run.created_by", "run.ended_at"]);
  });

  test("control: a text planted in a plain and in a sealed column is reported by the column's name (claim CLS-2)", async () => {
    const plant = (code: string) => asOrg(sql`update run set failure_code = ${code}`);
    await plant("KeyError: 'patient 4711'");
    expect(await unfit()).toMatchObject([{ name: "control.run.failure_code" }]);
    await plant("");
    const place = { org, table: "project", column: "display_name", row: JSON.stringify([project]) };
    // With the plane's own key, beside its store, which would not seal it.
    const key = deriveKey(await readOrCreateKeyFile(join(folder, "state.key")), "control-plane columns");
    const plantSealed = (text: string) =>
      asOrg(sql`update project set display_name_sealed = ${sealColumn(key, place, Buffer.from(text))}`);
    await plantSealed("patient 4711:\na fracture");
    expect(await unfit()).toMatchObject([{ name: "control.project.display_name_sealed" }]);
    await plantSealed("Flights of 2001");
    expect(await unfit()).toEqual([]);
  });

  test("a value that the register does not allow is not written, whoever sends it (claim CLS-2)", async () => {
    const { store } = control.state;
    const write = (values: object) =>
      store.asOrg(org, (transaction) =>
        transaction.updateTable("run").set(values).where("org_id", "=", org).execute(),
      );
    const place = { org, table: "project", column: "display_name", key: [project] } as const;
    expect(() => store.seal(place, "two\nlines")).toThrow(/display_name/);
    await expect(write({ task_name: "what the patient\nsaid" })).rejects.toThrow(/task_name was not taken/);
    await write({ task_name: "flights.main" });
    const hostile = new LinkPeer(home, "second");
    const next = await hostile.open();
    hostile.events([runCreated(next + 1, "A Run With Words", {})]);
    expect(String(await hostile.ended())).toMatch(/run.name was not taken/);
    hostile.close();
  });

  test("control: an unexpected column is reported by its name (claim CLS-6)", async () => {
    await control.state.store.asOrg(org, async (transaction) => {
      await sql`reset role`.execute(transaction);
      await sql`alter table run add column note text`.execute(transaction);
    });
    expect(await unexpected()).toEqual(["run.note"]);
  });
});

/** Everything that a data plane tells of a task, a run, an action and an attempt. */
function eventsFrom(sequence: number) {
  const times = { startedAt: { seconds: 1_700_000_001n }, endedAt: { seconds: 1_700_000_002n } };
  const ended = { phase: Phase.FAILED, failureCode: "OOMKilled", failureKind: FailureKind.USER, ...times };
  const task = { org, project, domain, name: "flights.main", version: "v1" };
  const deployedAt = { seconds: 1_700_000_000n };
  const run = { org, project, domain, name: "r-1" };
  return [
    runCreated(sequence, "r-1"),
    event(sequence + 1, {
      case: "taskDeployed",
      value: { task, deployedAt, deployedBy: "ada", specDigest: digestOf(3) },
    }),
    actionUpdated(sequence + 2, "r-1", "a0", ended),
    event(sequence + 3, {
      case: "attemptUpdated",
      value: { run, action: "a0", attempt: 1, ...ended },
    }),
    runUpdated(sequence + 4, "r-1", ended),
  ];
}

async function recordsOf(home: TestCluster): Promise<readonly (readonly [ProjectedTable, Message])[]> {
  const index = createClient(IndexService, home.transportAs("ada"));
  const run = { org, project, domain, name: "r-1" };
  return [
    ["task", (await index.listTasks({ project, domain })).tasks[0]!],
    ["run", (await index.getRun({ run })).run!],
    ["action", (await index.listActions({ run })).actions[0]!],
    ["attempt", (await index.listAttempts({ run, action: "a0" })).attempts[0]!],
  ];
}
