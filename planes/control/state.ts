/** Everything that a control plane keeps: its folder with keys and authority, its database, its audit logs. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { Closers, createLogger, type Logger, readOrCreateKeyFile } from "@biplane/kit";
import { type AuditLogs, openAuditLogs } from "./audit/audit.ts";
import { openProviderAuthority, type ProviderAuthority } from "./enrollment/authority.ts";
import { declareRegion } from "./region.ts";
import { openStore, type Store } from "./store/open.ts";

export interface StateLocation {
  readonly folder: string;
  /** Where the control plane is; undefined: as it was declared before. */
  readonly region?: string | undefined;
  readonly databaseUrl: string | undefined;
  readonly log?: Logger;
  /** How long the certificates of clusters are good for; 30 days where absent. */
  readonly clusterCertificateMs?: number | undefined;
  /** How long audit records are kept at least; for ever where absent. */
  readonly auditKeptMs?: number | undefined;
}

export interface ControlState {
  readonly folder: string;
  readonly region: string;
  readonly store: Store;
  readonly authority: ProviderAuthority;
  readonly audit: AuditLogs;
  close(): Promise<void>;
}

/** Opens the state, and makes what is missing: a first start needs no other step. */
export async function openState(location: StateLocation): Promise<ControlState> {
  const { folder, databaseUrl, log = createLogger({ component: "control" }) } = location;
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const region = await declareRegion(folder, location.region);
  const closers = new Closers();
  const rootKey = await readOrCreateKeyFile(join(folder, "state.key"));
  const authority = await openProviderAuthority(folder, location.clusterCertificateMs);
  const audit = closers.add(await openAuditLogs(folder, rootKey, log, location.auditKeptMs));
  try {
    const database = { url: databaseUrl, folder: join(folder, "database") };
    const store = closers.add(await openStore(database, rootKey));
    return { folder, region, store, authority, audit, close: () => closers.close() };
  } catch (error) {
    await closers.close();
    throw error;
  }
}
