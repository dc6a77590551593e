/** Admissions that a data plane may not have received: whatever was decided after its last recorded acknowledgement. */

import { type Admission, AdmissionOutcome, AdmissionSchema } from "@biplane/control-wire";
import { create } from "@bufbuild/protobuf";
import { type RunKey, runRef } from "../runs/rows.ts";
import type { ControlTransaction } from "../store/open.ts";

export interface AdmissionScope {
  readonly transaction: ControlTransaction;
  readonly org: string;
  readonly cluster: string;
  readonly incarnation: string;
  /** The data plane has recorded everything up to here. */
  readonly acknowledged: number;
}

export async function unansweredAdmissions(scope: AdmissionScope): Promise<Admission[]> {
  const { transaction, org, cluster, incarnation, acknowledged } = scope;
  const own = { org_id: org, cluster, incarnation };
  await transaction
    .deleteFrom("refusal")
    .where((where) => where.and(own))
    .where("sequence", "<=", acknowledged)
    .execute();
  const refused = await transaction
    .selectFrom("refusal")
    .select(["project", "domain", "run as name", "outcome"])
    .where((where) => where.and(own))
    .orderBy("sequence")
    .execute();
  const admitted = await transaction
    .selectFrom("run")
    .select(["project", "domain", "name"])
    .where((where) => where.and(own))
    .where("admitted_sequence", ">", acknowledged)
    .orderBy("admitted_sequence")
    .execute();
  return [
    ...refused.map((row) => admissionOf(org, row, row.outcome)),
    ...admitted.map((row) => admissionOf(org, row, AdmissionOutcome.ADMITTED)),
  ];
}

export function admissionOf(org: string, key: RunKey, outcome: AdmissionOutcome): Admission {
  return create(AdmissionSchema, { run: runRef(org, key), outcome });
}
