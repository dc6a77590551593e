/**
 * The end of a full snapshot (rule of state 8): what the data plane no longer has can't go on. Its open runs have
 * failed as `lost_in_restore`; open actions of runs that it kept are forgotten, since the run makes them again under
 * the same names. Terminal states stay.
 */
import { FailureKind, Phase, terminalPhases } from "@biplane/control-wire";
import { sql } from "kysely";
import type { AdmissionContext } from "./admit.ts";

const terminal = sql.join([...terminalPhases]);

export async function closeSnapshot(context: AdmissionContext, occurredAtMs: number): Promise<void> {
  const { transaction, org, cluster, seenIn } = context;
  const lost = {
    phase: Phase.FAILED,
    ended_at: occurredAtMs,
    failure_code: "lost_in_restore",
    failure_kind: FailureKind.SYSTEM,
  };
  await transaction
    .updateTable("run")
    .set({ ...lost, fence: null })
    .where((where) => where.and({ org_id: org, cluster }))
    .where("seen_in", "!=", seenIn)
    .where("phase", "not in", [...terminalPhases])
    .execute();
  await forgetUnseenActions(context);
  for (const table of ["action", "attempt"] as const) {
    await sql`update ${sql.table(table)} as part set phase = ${lost.phase}, ended_at = ${lost.ended_at},
        failure_code = ${lost.failure_code}, failure_kind = ${lost.failure_kind}
      from run where ${partOfRun(context)} and run.failure_code = ${lost.failure_code}
        and part.phase not in (${terminal})`.execute(transaction);
  }
}

async function forgetUnseenActions(context: AdmissionContext): Promise<void> {
  await sql`delete from action as part using run where ${partOfRun(context)} and run.seen_in = ${context.seenIn}
    and part.seen_in <> ${context.seenIn} and part.phase not in (${terminal})`.execute(context.transaction);
}

function partOfRun({ org, cluster }: AdmissionContext) {
  return sql`run.org_id = ${org} and run.cluster = ${cluster} and part.org_id = run.org_id
    and part.project = run.project and part.domain = run.domain and part.run = run.name`;
}
