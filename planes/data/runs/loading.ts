/** Open runs from the database into memory: at start, and after a transaction that failed. */
import type { OrgId } from "@biplane/base";
import type { Database } from "@biplane/kit/database";
import { readActionsOfRun } from "../store/action-rows.ts";
import { type RepeatKey, readNewestRepeatKeys, readNonces, type UsedNonce } from "../store/key-rows.ts";
import { type IncarnationState, readIncarnation } from "../store/outbox-rows.ts";
import { readOpenRuns } from "../store/run-rows.ts";
import type { DataSchema } from "../store/schema.ts";
import type { Sealer } from "../store/sealing.ts";
import { repeatKeysMax } from "./repeat-keys.ts";
import { ActionState, RunState } from "./state.ts";

export interface LoadContext {
  readonly database: Database<DataSchema>;
  readonly sealer: Sealer;
  readonly org: OrgId;
  readonly bucket: string;
}

export interface Loaded {
  readonly incarnation: IncarnationState | undefined;
  readonly runs: readonly RunState[];
  readonly nonces: readonly UsedNonce[];
  /** Oldest first. */
  readonly repeats: readonly RepeatKey[];
}

export async function loadOpenRuns(context: LoadContext): Promise<Loaded> {
  const { database, sealer, org } = context;
  const { incarnation, stored, nonces, repeats } = await database.asOrg(org, async (transaction) => ({
    incarnation: await readIncarnation(transaction, org),
    stored: await readOpenRuns(transaction, sealer, org),
    nonces: await readNonces(transaction, org),
    repeats: await readNewestRepeatKeys(transaction, org, repeatKeysMax),
  }));
  const runs: RunState[] = [];
  for (const run of stored) {
    const state = new RunState(run);
    state.committed = run.record;
    await loadActions(context, state);
    runs.push(state);
  }
  return { incarnation, runs, nonces, repeats };
}

async function loadActions(context: LoadContext, run: RunState): Promise<void> {
  const { database, sealer, org, bucket } = context;
  const actions = await database.asOrg(org, (transaction) =>
    readActionsOfRun(transaction, sealer, bucket, run.record),
  );
  for (const stored of actions) {
    const state = new ActionState(run, run.actions.get(stored.record.parent), stored);
    state.committed = stored.record;
    run.counts.move(stored.record.taskName, undefined, stored.record.phase);
  }
}
