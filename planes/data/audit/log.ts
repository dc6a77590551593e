/** The data plane's audit log, and the control plane as its witness. */
import { join } from "node:path";
import { controlLogName, dataLogName } from "@biplane/audit";
import type { ClusterId, OrgId } from "@biplane/base";
import { type AuditLog, openAuditLog, openWitnessPeer, type WitnessPeer } from "@biplane/kit/audit-log";
import { systemClock } from "@biplane/kit/clock";
import { deriveKey, type Key } from "@biplane/kit/crypto";
import type { Logger } from "@biplane/kit/logging";

export interface DataAuditOptions {
  readonly folder: string;
  readonly systemKey: Key;
  readonly org: OrgId;
  readonly cluster: ClusterId;
  readonly log: Logger;
}

export function openDataAudit({ folder, systemKey, org, cluster, log }: DataAuditOptions): Promise<AuditLog> {
  return openAuditLog({
    folder,
    key: deriveKey(systemKey, "audit log"),
    origin: dataLogName(org, cluster),
    place: { plane: "data", org, cluster },
    clock: systemClock,
    log,
  });
}

export function openControlPlaneWitness(own: AuditLog, options: DataAuditOptions): Promise<WitnessPeer> {
  return openWitnessPeer({
    own,
    otherName: controlLogName(options.org),
    path: join(options.folder, "control-plane.sealed"),
    key: deriveKey(options.systemKey, "audit witness"),
    clock: systemClock,
    log: options.log,
  });
}
