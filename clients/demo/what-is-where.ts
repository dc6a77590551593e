/** What each plane holds now, asked of the planes themselves. */

import { record } from "@biplane/cli/commands/border";
import type { LocalSystem } from "@biplane/cli/dev/local-system";
import { between, size, time } from "@biplane/cli/output/text";
import type { Connection, RemoteRun } from "@biplane/sdk/remote";
import { phaseName } from "@biplane/sdk/remote";
import { folderBytes } from "./folder-bytes.ts";
import { bullet, say, title } from "./say.ts";

const pagesMax = 100;
const sampleCount = 3;

export async function tellControlPlane(
  connection: Connection,
  run: RemoteRun,
  system: LocalSystem,
): Promise<void> {
  title("What the control plane (the provider) holds: names, phases, times");
  const { run: known, phaseCounts } = await connection.records.getRun({ run: run.id });
  say("Its own records, read back from it:");
  bullet(
    `run ${known?.run?.name} of task ${known?.task?.name}: ${phaseName(known?.phase ?? 0)}, took ${between(known?.startedAt, known?.endedAt)}`,
  );
  bullet(
    `started ${time(known?.startedAt)}, document known by its SHA-256 only: ${Buffer.from(
      known?.documentDigest ?? [],
    )
      .toString("hex")
      .slice(0, 24)}…`,
  );
  bullet(
    `actions: ${phaseCounts.map((one) => `${one.count} ${phaseName(one.phase)}`).join(", ")}; for example`,
  );
  const { actions } = await connection.records.listActions({ run: run.id, page: { limit: sampleCount } });
  for (const action of actions) {
    say(
      `      ${action.name.padEnd(26)} ${action.taskName.padEnd(18)} ${phaseName(action.phase)}, took ${between(action.startedAt, action.endedAt)}`,
    );
  }
  say(
    `No airport, no flight, no delay, no code, no log line. All of its state: ${size(await folderBytes(system.folders.control))}, an embedded PostgreSQL included.`,
  );
}

export async function tellDataPlane(
  connection: Connection,
  run: RemoteRun,
  system: LocalSystem,
): Promise<void> {
  title("What the data plane (the customer) holds: everything, encrypted on disk");
  const kinds = new Map<Kind, { count: number; bytes: number }>();
  for await (const object of objectsOf(connection, run)) {
    const kind = kindOf(object.key);
    const sum = kinds.get(kind) ?? { count: 0, bytes: 0 };
    kinds.set(kind, { count: sum.count + 1, bytes: sum.bytes + object.bytes });
  }
  for (const [kind, { count, bytes }] of [...kinds].sort(([, left], [, right]) => right.bytes - left.bytes)) {
    bullet(`${String(count).padStart(5)} ${count === 1 ? kind.one : kind.many}, ${size(bytes)}`);
  }
  say(`Its state folder has ${size(await folderBytes(system.folders.data))}: objects, database, logs, keys.`);
}

async function* objectsOf(
  connection: Connection,
  run: RemoteRun,
): AsyncGenerator<{ key: string; bytes: number }> {
  const { project, domain } = run.id;
  let cursor = "";
  for (let page = 0; page < pagesMax; page += 1) {
    const listed = await connection.objects.listObjects({
      project,
      domain,
      prefix: "",
      limit: 1_000,
      cursor,
    });
    for (const object of listed.objects) yield { key: object.key, bytes: Number(object.sizeBytes) };
    cursor = listed.nextCursor;
    if (cursor === "") return;
  }
}

interface Kind {
  readonly one: string;
  readonly many: string;
}

const otherFiles: Kind = { one: "other file", many: "other files" };
const kindsOfKeys: readonly (readonly [RegExp, Kind])[] = [
  [/\/code-(bundles\/|[0-9a-f]+\.tar\.gz$)/, { one: "code bundle", many: "code bundles" }],
  [/\/report\.html$/, { one: "report", many: "reports" }],
  [/\/inputs\.pb$/, { one: "action's inputs", many: "actions' inputs" }],
  [/\/outputs\.pb$/, { one: "action's outputs", many: "actions' outputs" }],
  [/\/outcome\.pb$/, { one: "outcome of an attempt", many: "outcomes, one for each attempt" }],
  [/\/airports\.parquet$/, { one: "result table (Parquet)", many: "result tables (Parquet)" }],
  [/\/uploads\/.*\.parquet$/, { one: "uploaded data set", many: "uploaded data sets" }],
  [
    /\.parquet$/,
    { one: "part of the flights", many: "parts of the flights, one for each airport (Parquet)" },
  ],
];

function kindOf(key: string): Kind {
  return kindsOfKeys.find(([pattern]) => pattern.test(key))?.[1] ?? otherFiles;
}

/** The border ledger is the customer's own record of all that crossed to the provider. */
export async function tellCrossing(connection: Connection, run: RemoteRun): Promise<void> {
  title("What crossed between the planes: every message is in the customer's border ledger");
  const sums = { up: { count: 0, bytes: 0 }, down: { count: 0, bytes: 0 } };
  let sample = "";
  for await (const entry of connection.border.readLedger({
    fromSequence: 0n,
    follow: false,
    run: run.name,
  })) {
    const { direction, bytes, message } = record(entry);
    if (direction === "none") continue;
    sums[direction].count += 1;
    sums[direction].bytes += bytes;
    if (direction === "down" && isIntent(message)) sample ||= JSON.stringify(message);
  }
  bullet(`${sums.up.count} messages up about this run, ${size(sums.up.bytes)}: projections`);
  bullet(`${sums.down.count} messages down, ${size(sums.down.bytes)}: by reference only, for example`);
  say(`      ${sample.slice(0, 200)}${sample.length > 200 ? "…" : ""}`);
}

/** What the control plane asks of the data plane, as against its answers. */
function isIntent(message: unknown): boolean {
  return typeof message === "object" && message !== null && "intent" in message;
}
