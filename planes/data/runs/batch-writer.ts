/** Writes one batch: rows and the events that tell the control plane of them, in one transaction. */
import type { OrgId } from "@biplane/base";
import type { Event } from "@biplane/control-wire";
import { Phase } from "@biplane/control-wire";
import type { Database } from "@biplane/kit/database";
import { type StoredAction, writeActions } from "../store/action-rows.ts";
import { insertDocuments } from "../store/document-rows.ts";
import { deleteRepeatKeys, insertNonces, insertRepeatKeys } from "../store/key-rows.ts";
import { insertEvents, writeAcknowledged } from "../store/outbox-rows.ts";
import { deleteRuns, type StoredRun, upsertRuns } from "../store/run-rows.ts";
import type { DataSchema } from "../store/schema.ts";
import type { Sealer } from "../store/sealing.ts";
import { insertTasks } from "../store/task-rows.ts";
import type { Batch } from "./batch.ts";
import {
  actionChange,
  attemptChange,
  type Change,
  event,
  runChange,
  runRef,
  taskChange,
} from "./projection.ts";
import type { ActionState, RunState } from "./state.ts";

/** A batch as it was when its transaction began: later decisions belong to the next one. */
export interface FrozenBatch {
  readonly runs: readonly { readonly state: RunState; readonly stored: StoredRun }[];
  readonly actions: readonly { readonly state: ActionState; readonly stored: StoredAction }[];
  readonly events: readonly Event[];
}

export interface WriterContext {
  readonly database: Database<DataSchema>;
  readonly sealer: Sealer;
  readonly org: OrgId;
  readonly cluster: string;
}

export function freeze(batch: Batch, cluster: string, lastSequence: bigint, nowMs: number): FrozenBatch {
  const changes = [...changesOf(batch, cluster)];
  return {
    runs: [...batch.runs].map((state) => ({ state, stored: state.stored })),
    actions: [...batch.actions.keys()].map((state) => ({ state, stored: state.snapshot() })),
    events: changes.map(({ atMs, change }, index) =>
      event(lastSequence + BigInt(index + 1), atMs ?? nowMs, change),
    ),
  };
}

interface TimedChange {
  readonly change: Change;
  readonly atMs: number | undefined;
}

/** Runs before their actions, actions before their attempts, the end of a run after everything in it. */
function* changesOf(batch: Batch, cluster: string): Generator<TimedChange> {
  for (const run of batch.withdrawnRuns) {
    yield { change: { case: "runWithdrawn", value: runRef(run) }, atMs: undefined };
  }
  for (const task of batch.tasks) yield { change: taskChange(task), atMs: task.deployedAtMs };
  for (const { stored } of batch.createdRuns) {
    yield { change: runChange(stored, cluster, "runCreated"), atMs: stored.record.createdAtMs };
  }
  for (const [{ record, run, updatedAtMs }, attempts] of batch.actions) {
    // What the control plane has not admitted it must not be told more of than that it asks.
    if (run.record.admission !== "admitted") continue;
    yield { change: actionChange(record), atMs: updatedAtMs };
    for (const attempt of record.attempts) {
      if (!attempts.has(attempt.attempt) || attempt.phase === Phase.QUEUED) continue;
      yield { change: attemptChange(record, attempt), atMs: attempt.transitions.at(-1)?.atMs };
    }
  }
  for (const run of batch.runs) {
    if (run.record.admission !== "admitted") continue;
    yield { change: runChange(run.stored, cluster, "runUpdated"), atMs: run.stored.updatedAtMs };
  }
}

export async function writeBatch(context: WriterContext, batch: Batch, frozen: FrozenBatch): Promise<void> {
  const { database, sealer, org } = context;
  await database.writeAsOrg(org, async (transaction) => {
    await deleteRuns(transaction, batch.forgottenRuns);
    await insertDocuments(transaction, org, batch.documents.values());
    await upsertRuns(
      transaction,
      sealer,
      frozen.runs.map(({ stored }) => stored),
    );
    await writeActions(
      transaction,
      sealer,
      frozen.actions.map(({ stored }) => stored),
    );
    await insertTasks(transaction, sealer, batch.tasks);
    await insertEvents(transaction, org, frozen.events);
    await insertNonces(transaction, org, batch.nonces);
    await deleteRepeatKeys(transaction, org, batch.forgottenRepeatKeys);
    await insertRepeatKeys(transaction, org, batch.repeatKeys);
    if (batch.acknowledged !== undefined) await writeAcknowledged(transaction, org, batch.acknowledged);
  });
}
