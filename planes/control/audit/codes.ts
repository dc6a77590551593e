/** Which code stands for which method of the control plane. */
import type { AuditCode } from "@biplane/audit";
import { clusterTable, indexTable } from "@biplane/classification/control-table";

/** By the method's name as code: no two services here share one. */
export const methodCodes: Readonly<Record<string, AuditCode>> = {
  ...Object.fromEntries(Object.entries(indexTable).map(([method, { audit }]) => [method, audit])),
  ...clusterTable,
};
