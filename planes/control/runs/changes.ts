/**
 * Changes of runs, actions and attempts as they come in events: folded to the newest state of each, then written in one
 * statement per table. The first terminal state stays, in the fold and in the tables (rule of state 6).
 */
import {
  type ActionProjection,
  type AttemptProjection,
  isTerminal,
  type RunProjection,
  type TaskProjection,
  terminalPhases,
} from "@biplane/control-wire";
import { executeLater } from "@biplane/kit";
import { sql } from "kysely";
import { parts } from "../store/parts.ts";
import { recordTasks } from "../tasks/tasks.ts";
import type { AdmissionContext } from "./admit.ts";
import { actionFacts, attemptFacts, keyText, type RunKey, runFacts, runKey } from "./rows.ts";

const terminal = sql.join([...terminalPhases]);

export class Changes {
  readonly runs = new Map<string, RunProjection>();
  readonly actions = new Map<string, ActionProjection>();
  readonly attempts = new Map<string, AttemptProjection>();
  readonly tasks: TaskProjection[] = [];

  addRun(run: RunProjection): void {
    fold(this.runs, keyText(runKey(run.run)), run);
  }

  addAction(action: ActionProjection): void {
    fold(this.actions, `${keyText(runKey(action.run))}/${action.name}`, action);
  }

  addAttempt(attempt: AttemptProjection): void {
    fold(this.attempts, `${keyText(runKey(attempt.run))}/${attempt.action}/${attempt.attempt}`, attempt);
  }

  /** Runs that the changes are about. */
  *runKeys(): Generator<RunKey> {
    for (const run of this.runs.values()) yield runKey(run.run);
    for (const action of this.actions.values()) yield runKey(action.run);
    for (const attempt of this.attempts.values()) yield runKey(attempt.run);
  }
}

function fold<T extends RunProjection | ActionProjection | AttemptProjection>(
  states: Map<string, T>,
  key: string,
  state: T,
): void {
  const before = states.get(key);
  if (before === undefined || !isTerminal(before.phase)) states.set(key, state);
}

/**
 * Writes the changes. Outside a snapshot they are about admitted runs of this cluster only: what belongs to others, or
 * was refused, is left out. A snapshot also brings runs that the index has lost.
 */
export async function writeChanges(
  context: AdmissionContext,
  changes: Changes,
  inSnapshot: boolean,
): Promise<void> {
  if (inSnapshot) await restoreRuns(context, [...changes.runs.values()]);
  const known = await findOwnRuns(context, changes);
  const isKnown = (item: { run?: RunProjection["run"] }) => known.has(keyText(runKey(item.run)));
  await writeRuns(context, [...changes.runs.values()].filter(isKnown));
  await writeActions(context, [...changes.actions.values()].filter(isKnown));
  await writeAttempts(context, [...changes.attempts.values()].filter(isKnown));
  await recordTasks(context.store, context.transaction, context.org, changes.tasks);
}

async function findOwnRuns(context: AdmissionContext, changes: Changes): Promise<Set<string>> {
  const keys = new Map([...changes.runKeys()].map((key) => [keyText(key), key]));
  if (keys.size === 0) return new Set();
  const { transaction, org, cluster } = context;
  const all = [...keys.values()];
  const rows = await transaction
    .selectFrom("run")
    .select(["project", "domain", "name"])
    .where((where) => where.and({ org_id: org, cluster }))
    .where("project", "in", [...new Set(all.map((key) => key.project))])
    .where("domain", "in", [...new Set(all.map((key) => key.domain))])
    .where("name", "in", [...new Set(all.map((key) => key.name))])
    .execute();
  return new Set(rows.map(keyText));
}

async function restoreRuns(context: AdmissionContext, runs: readonly RunProjection[]): Promise<void> {
  const { store, transaction, org, cluster, incarnation, seenIn } = context;
  for (const part of parts(runs)) {
    const rows = part.map((run) => ({
      org_id: org,
      ...runFacts(store, org, cluster, run),
      incarnation,
      admitted_sequence: 0,
      seen_in: seenIn,
    }));
    const query = transaction
      .insertInto("run")
      .values(rows)
      .onConflict((conflict) => conflict.columns(["org_id", "project", "domain", "name"]).doNothing());
    await executeLater(transaction, query.compile());
  }
}

async function writeRuns(context: AdmissionContext, runs: readonly RunProjection[]): Promise<void> {
  const { transaction, org, cluster, seenIn } = context;
  for (const run of runs) {
    const { project, domain, name, phase, started_at, ended_at, failure_code, failure_kind } = runFacts(
      context.store,
      org,
      cluster,
      run,
    );
    const query = transaction
      .updateTable("run")
      .set({ phase, started_at, ended_at, failure_code, failure_kind, seen_in: seenIn })
      .where((where) => where.and({ org_id: org, cluster, project, domain, name }))
      .where("phase", "not in", [...terminalPhases]);
    await executeLater(transaction, query.compile());
  }
}

async function writeActions(context: AdmissionContext, actions: readonly ActionProjection[]): Promise<void> {
  const { transaction, org, seenIn } = context;
  for (const part of parts(actions)) {
    const rows = part.map((action) => ({ org_id: org, ...actionFacts(action), seen_in: seenIn }));
    const query = transaction
      .insertInto("action")
      .values(rows)
      .onConflict((conflict) =>
        conflict
          .columns(["org_id", "project", "domain", "run", "name"])
          .doUpdateSet((row) => ({
            phase: row.ref("excluded.phase"),
            attempt: row.ref("excluded.attempt"),
            started_at: row.ref("excluded.started_at"),
            ended_at: row.ref("excluded.ended_at"),
            failure_code: row.ref("excluded.failure_code"),
            failure_kind: row.ref("excluded.failure_kind"),
            seen_in: row.ref("excluded.seen_in"),
          }))
          .where(sql<boolean>`action.phase not in (${terminal})`),
      );
    await executeLater(transaction, query.compile());
  }
}

async function writeAttempts(
  context: AdmissionContext,
  attempts: readonly AttemptProjection[],
): Promise<void> {
  const { transaction, org } = context;
  for (const part of parts(attempts)) {
    const rows = part.map((attempt) => ({ org_id: org, ...attemptFacts(attempt) }));
    const query = transaction
      .insertInto("attempt")
      .values(rows)
      .onConflict((conflict) =>
        conflict
          .columns(["org_id", "project", "domain", "run", "action", "attempt"])
          .doUpdateSet((row) => ({
            phase: row.ref("excluded.phase"),
            started_at: row.ref("excluded.started_at"),
            ended_at: row.ref("excluded.ended_at"),
            failure_code: row.ref("excluded.failure_code"),
            failure_kind: row.ref("excluded.failure_kind"),
          }))
          .where(sql<boolean>`attempt.phase not in (${terminal})`),
      );
    await executeLater(transaction, query.compile());
  }
}
