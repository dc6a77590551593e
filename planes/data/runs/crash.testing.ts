/**
 * For the kill test: a process that drives the engine as fast as it can and prints each thing once it was acknowledged.
 * Arguments: folder, key in hex, database URL or "". Whatever it printed has to be there after it was killed.
 */
import type { ActionName, AttemptId } from "@biplane/base";
import { Secret } from "@biplane/base";
import { openDatabase } from "@biplane/kit/database";
import { createLogger } from "@biplane/kit/logging";
import { dataMigrations } from "../store/migrations.ts";
import type { DataSchema } from "../store/schema.ts";
import {
  attemptOf,
  child,
  cluster,
  newRun,
  openProjectKeys,
  org,
  success,
  TestClock,
  TestControlPlane,
} from "./engine.testing.ts";
import { openRuns, type RunsModule } from "./open.ts";
import type { AttemptOutcome } from "./types.ts";

export type Acknowledged =
  | { readonly kind: "created"; readonly run: string }
  | { readonly kind: "enqueued"; readonly run: string; readonly action: string }
  | { readonly kind: "leased"; readonly id: AttemptId }
  | { readonly kind: "finished"; readonly id: AttemptId; readonly outcome: AttemptOutcome["kind"] };

const [folder = "", keyHex = "", url = ""] = process.argv.slice(2);
const outcomes: readonly AttemptOutcome[] = [success, failing(true), failing(false)];

await main();

async function main(): Promise<void> {
  const clock = new TestClock();
  const keys = new Secret(new Uint8Array(Buffer.from(keyHex, "hex")));
  const database = await openDatabase<DataSchema>(url === "" ? { folder } : { folder, url }, dataMigrations);
  const module = await openRuns({
    ...{ database, org, cluster, clock, bucket: "biplane" },
    keys,
    projectKeys: await openProjectKeys(folder, keys),
    log: createLogger({ component: "crash", level: "silent" }),
  });
  for (const id of await module.queue.interrupted()) await finish(module, id, 0);
  new TestControlPlane({ ...module, clock }).start();
  process.stdout.write("ready\n");
  await Promise.all([
    create(module),
    create(module),
    ...Array.from({ length: 6 }, (_, index) => execute(module, index)),
  ]);
}

async function create(module: RunsModule): Promise<void> {
  for (;;) {
    const { run } = await module.runs.createRun(newRun({ retries: 2 }));
    say({ kind: "created", run });
  }
}

/** Roots fan out; every action ends in one of three ways. */
async function execute(module: RunsModule, seed: number): Promise<void> {
  for (let turn = seed; ; turn += 1) {
    const taken = await module.queue.lease(new AbortController().signal);
    if (taken === undefined) return;
    say({ kind: "leased", id: attemptOf(taken) });
    if (taken.action === "a0") await fanOut(module, attemptOf(taken));
    await finish(module, attemptOf(taken), turn);
  }
}

async function fanOut(module: RunsModule, parent: AttemptId): Promise<void> {
  const names = [1, 2, 3].map((index) => `c${index}` as ActionName);
  const enqueued = await module.runs
    .enqueueChildren(
      parent,
      names.map((name) => child(name, { retries: 2 })),
    )
    .then(
      () => true,
      () => false,
    );
  if (enqueued) for (const action of names) say({ kind: "enqueued", run: parent.run, action });
}

async function finish(module: RunsModule, id: AttemptId, turn: number): Promise<void> {
  const outcome = outcomes[turn % outcomes.length]!;
  await module.queue.finish(id, outcome);
  say({ kind: "finished", id, outcome: outcome.kind });
}

function failing(recoverable: boolean): AttemptOutcome {
  const failure = { code: "ValueError", message: "seeded", kind: "user", recoverable } as const;
  return { kind: "failed", failure, hasReport: false };
}

function say(acknowledged: Acknowledged): void {
  process.stdout.write(`${JSON.stringify(acknowledged)}\n`);
}
