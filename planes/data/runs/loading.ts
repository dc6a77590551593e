/** Open runs from the database into memory: at start, and after a transaction that failed. */
import { isBiplaneError, type OrgId } from "@biplane/base";
import type { Database } from "@biplane/kit/database";
import { readActionsOfRun } from "../store/action-rows.ts";
import { readNonces, type UsedNonce } from "../store/key-rows.ts";
import { type IncarnationState, readIncarnation } from "../store/outbox-rows.ts";
import { readOpenRuns } from "../store/run-rows.ts";
import type { DataSchema } from "../store/schema.ts";
import type { Sealer } from "../store/sealing.ts";
import type { Documents } from "./documents.ts";
import type { RetryPolicy, TaskSummaries } from "./specs.ts";
import { ActionState, RunState } from "./state.ts";
import type { ActionRecord } from "./types.ts";

export interface LoadContext {
  readonly database: Database<DataSchema>;
  readonly sealer: Sealer;
  readonly org: OrgId;
  readonly bucket: string;
  readonly documents: Documents;
  readonly summaries: TaskSummaries;
}

export interface Loaded {
  readonly incarnation: IncarnationState | undefined;
  readonly runs: readonly RunState[];
  readonly nonces: readonly UsedNonce[];
}

const noRetries: RetryPolicy = { retries: 0, baseMs: 0, factor: 1, capMs: 0 };

export async function loadOpenRuns(context: LoadContext): Promise<Loaded> {
  const { database, sealer, org } = context;
  const { incarnation, stored, nonces } = await database.asOrg(org, async (transaction) => ({
    incarnation: await readIncarnation(transaction, org),
    stored: await readOpenRuns(transaction, sealer, org),
    nonces: await readNonces(transaction, org),
  }));
  const runs: RunState[] = [];
  for (const run of stored) {
    const state = new RunState(run);
    state.committed = run.record;
    await loadActions(context, state);
    runs.push(state);
  }
  return { incarnation, runs, nonces };
}

async function loadActions(context: LoadContext, run: RunState): Promise<void> {
  const { database, sealer, org, bucket } = context;
  const actions = await database.asOrg(org, (transaction) =>
    readActionsOfRun(transaction, sealer, bucket, run.record),
  );
  for (const stored of actions) {
    const retry = await retryPolicy(context, stored.record);
    const state = new ActionState(run, run.actions.get(stored.record.parent), stored, retry);
    state.committed = stored.record;
    run.counts.move(stored.record.taskName, undefined, stored.record.phase);
  }
}

/** An action whose specification is gone can still be aborted and shown; it is just never tried again. */
async function retryPolicy(context: LoadContext, record: ActionRecord): Promise<RetryPolicy> {
  const { documents, summaries } = context;
  if (record.kind !== "task" || record.specDigest === undefined) return noRetries;
  const known = summaries.known(record.specDigest);
  if (known !== undefined) return known.retry;
  try {
    return summaries.of(await documents.read(record.specDigest)).retry;
  } catch (error) {
    if (isBiplaneError(error, "not_found")) return noRetries;
    throw error;
  }
}
