/**
 * A full snapshot of what this cluster holds, as events (rule of state 8). Written between two transactions and read
 * from the database, so that no event before or after it tells of something older.
 */
import type { TaskId } from "@biplane/base";
import type { Event } from "@biplane/control-wire";
import type { Transaction } from "kysely";
import { readActionsOfRun } from "../store/action-rows.ts";
import { insertEvents } from "../store/outbox-rows.ts";
import { readRunsAfter, type StoredRun } from "../store/run-rows.ts";
import type { DataSchema } from "../store/schema.ts";
import { readTasksAfter } from "../store/task-rows.ts";
import type { Engine } from "./engine.ts";
import { actionChange, attemptChange, type Change, event, runChange, taskChange } from "./projection.ts";

const chunkRows = 500;

/** Returns the number of the last event. */
export function writeSnapshot(engine: Engine): Promise<bigint> {
  const { database, org } = engine.options;
  return database.asOrg(org, async (transaction) => {
    let sequence = engine.lastSequence;
    let pending: Event[] = [];
    for await (const { change, atMs } of snapshotChanges(engine, transaction)) {
      sequence += 1n;
      pending.push(event(sequence, atMs ?? engine.now(), change));
      if (pending.length < chunkRows) continue;
      await insertEvents(transaction, org, pending);
      pending = [];
    }
    await insertEvents(transaction, org, pending);
    return sequence;
  });
}

interface TimedChange {
  readonly change: Change;
  readonly atMs?: number;
}

async function* snapshotChanges(
  engine: Engine,
  transaction: Transaction<DataSchema>,
): AsyncGenerator<TimedChange> {
  yield { change: { case: "snapshotBegin", value: {} } };
  yield* taskChanges(engine, transaction);
  yield* runChanges(engine, transaction);
  yield { change: { case: "snapshotEnd", value: {} } };
}

async function* taskChanges(
  engine: Engine,
  transaction: Transaction<DataSchema>,
): AsyncGenerator<TimedChange> {
  let after: TaskId | undefined;
  for (;;) {
    const tasks = await readTasksAfter(transaction, engine.sealer, engine.options.org, after, chunkRows);
    for (const task of tasks) yield { change: taskChange(task), atMs: task.deployedAtMs };
    after = tasks.at(-1);
    if (tasks.length < chunkRows) return;
  }
}

async function* runChanges(
  engine: Engine,
  transaction: Transaction<DataSchema>,
): AsyncGenerator<TimedChange> {
  let after: StoredRun | undefined;
  for (;;) {
    const runs = await readRunsAfter(
      transaction,
      engine.sealer,
      engine.options.org,
      after?.record,
      chunkRows,
    );
    for (const run of runs) yield* changesOfRun(engine, transaction, run);
    after = runs.at(-1);
    if (runs.length < chunkRows) return;
  }
}

async function* changesOfRun(
  engine: Engine,
  transaction: Transaction<DataSchema>,
  run: StoredRun,
): AsyncGenerator<TimedChange> {
  const { admission, createdAtMs } = run.record;
  const { cluster, bucket } = engine.options;
  if (admission === "withdrawn") return;
  const kind = admission === "pending" ? "runCreated" : "runUpdated";
  yield {
    change: runChange(run, cluster, kind),
    atMs: admission === "pending" ? createdAtMs : run.updatedAtMs,
  };
  if (admission === "pending") return;
  const actions = await readActionsOfRun(transaction, engine.sealer, bucket, run.record);
  for (const { record, updatedAtMs } of actions) {
    yield { change: actionChange(record), atMs: updatedAtMs };
    for (const attempt of record.attempts) {
      const atMs = attempt.transitions.at(-1)?.atMs ?? updatedAtMs;
      if (attempt.startedAtMs !== undefined || attempt.endedAtMs !== undefined) {
        yield { change: attemptChange(record, attempt), atMs };
      }
    }
  }
}
