/**
 * After a transaction that failed, or whose outcome is unknown: memory is read again from the database, attempts that
 * nobody got to execute wait again, and whoever watches or executes learns what was committed in between.
 */
import type { RunId } from "@biplane/base";
import { Phase } from "@biplane/control-wire";
import { backoffMs, sleep } from "@biplane/kit/backoff";
import { readActionsOfRun } from "../store/action-rows.ts";
import { readRun } from "../store/run-rows.ts";
import type { Engine } from "./engine.ts";
import type { ActionState } from "./state.ts";
import { currentAttempt, givenBack } from "./transitions.ts";

const retryDelay = { firstMs: 100, lastMs: 5_000 } as const;

/** Resolves when memory is what is on disk; goes on trying until then, or until the engine is closed. */
export async function recover(engine: Engine, error: unknown): Promise<void> {
  const { log } = engine.options;
  log.error({ event: "commit_failed", error }, "a transaction failed; reading the state again");
  for (let attempt = 0; !engine.isClosed; attempt += 1) {
    try {
      await engine.load();
      // Found before anything is decided again: a lease that is only on its way to the disk is no orphan.
      const orphans = findOrphans(engine);
      setImmediate(() => afterRecovery(engine, orphans));
      return;
    } catch (cause) {
      log.error({ event: "reload_failed", error: cause }, "the state could not be read");
      await sleep(backoffMs(attempt, retryDelay));
    }
  }
}

/** Attempts that are RUNNING on disk, but that no executor was ever given. */
function findOrphans(engine: Engine): readonly ActionState[] {
  return [...engine.runs.values()].flatMap((run) =>
    [...run.actions.values()].filter(({ record }) => {
      const { attempt, phase } = currentAttempt(record);
      return phase === Phase.RUNNING && !engine.leases.isHeld({ ...record, attempt });
    }),
  );
}

function afterRecovery(engine: Engine, orphans: readonly ActionState[]): void {
  if (!engine.isUsable) return;
  for (const action of orphans) giveBack(engine, action);
  endLeases(engine);
  publishOpen(engine);
  engine.readyChanged.notify();
  engine.outboxChanged.notify();
  for (const id of engine.hub.watchedRuns) {
    if (engine.openRun(id) !== undefined) continue;
    publishEnded(engine, id).catch((error: unknown) =>
      engine.options.log.warn({ event: "watch_behind", error }, "watchers were not told of a run's end"),
    );
  }
}

function giveBack(engine: Engine, action: ActionState): void {
  const { attempt } = currentAttempt(action.record);
  if (engine.openRun(action.record) !== action.run || !action.isRunning(attempt)) return;
  engine.changeAction(action, givenBack(action.record, engine.now()));
  engine.commit().catch(() => undefined);
}

/** What executes an attempt that ended in the meantime has to stop, also where the whole run has ended. */
function endLeases(engine: Engine): void {
  for (const id of engine.leases.held()) {
    const action = engine.openRun(id)?.actions.get(id.action);
    if (action?.isRunning(id.attempt) !== true) engine.leases.end(id);
  }
}

function publishOpen(engine: Engine): void {
  for (const run of engine.runs.values()) {
    for (const { committed } of run.actions.values()) {
      if (committed !== undefined) engine.hub.publishAction(committed);
    }
    if (run.committed !== undefined) engine.hub.publishRun(run.committed);
  }
}

/** It ended in the very transaction whose outcome was unknown. */
async function publishEnded(engine: Engine, id: RunId): Promise<void> {
  const { database, org, bucket } = engine.options;
  const { run, actions } = await database.asOrg(org, async (transaction) => ({
    run: await readRun(transaction, engine.sealer, id),
    actions: await readActionsOfRun(transaction, engine.sealer, bucket, id),
  }));
  if (run === undefined) return;
  for (const { record } of actions) engine.hub.publishAction(record);
  engine.hub.publishRun(run.record);
}
