/** Opens what the data plane keeps: database, audit, identity, objects, logs, border ledger, runs. */
import { day, limits } from "@biplane/base";
import { type AuditLog, keepRecordsFor, RefusalRecorder, type WitnessPeer } from "@biplane/kit/audit-log";
import { systemClock } from "@biplane/kit/clock";
import { deriveKey, type Key } from "@biplane/kit/crypto";
import { type Database, openDatabase } from "@biplane/kit/database";
import type { Closers } from "@biplane/kit/lifecycle";
import { createLifecycleAudit } from "./audit/lifecycle.ts";
import { openControlPlaneWitness, openDataAudit } from "./audit/log.ts";
import { createStoreAudit } from "./audit/store-requests.ts";
import type { DataPlaneConfig } from "./config.ts";
import { ProjectHosts } from "./egress/project-hosts.ts";
import type { OwnCertificates } from "./identity/certificates.ts";
import { type Identity, openIdentity } from "./identity/index.ts";
import { requireRoot } from "./identity/root.ts";
import { openKeyProvider } from "./keys/open-provider.ts";
import { ProjectKeys } from "./keys/project-keys.ts";
import { type BorderLedger, createLinkRecords, ledgerKey, openLedger } from "./link/index.ts";
import { openLogStore } from "./logs/log-store.ts";
import { logLimits } from "./logs/retention.ts";
import type { LogStore } from "./logs/types.ts";
import { type EmbeddedObjects, openObjects, type StoreAudit } from "./objects/index.ts";
import type { DataPlaneOptions } from "./options.ts";
import { backendsOf } from "./residency/backends.ts";
import { namedByProvider } from "./residency/destinations.ts";
import { Regions } from "./residency/regions.ts";
import { openRuns, type RunsModule } from "./runs/open.ts";
import type { StatePaths } from "./state.ts";
import { dataMigrations } from "./store/migrations.ts";
import type { DataSchema } from "./store/schema.ts";

export interface Stores {
  readonly database: Database<DataSchema>;
  readonly audit: AuditLog;
  readonly refusals: RefusalRecorder;
  readonly witness: WitnessPeer;
  readonly identity: Identity;
  readonly projectHosts: ProjectHosts;
  readonly keys: ProjectKeys;
  readonly regions: Regions;
  readonly objects: EmbeddedObjects;
  readonly logs: LogStore;
  readonly ledger: BorderLedger;
  readonly runs: RunsModule;
}

export interface OpenParts {
  readonly options: DataPlaneOptions;
  readonly paths: StatePaths;
  readonly config: DataPlaneConfig;
  readonly systemKey: Key;
  readonly certificates: OwnCertificates;
}

/** Each is closed by `closers`, before what it stands on. */
export async function openStores(parts: OpenParts, closers: Closers): Promise<Stores> {
  const { options, paths, config, systemKey } = parts;
  const { org, cluster, bucket } = config;
  const location = { folder: paths.database, url: options.databaseUrl };
  const database = closers.add(await openDatabase<DataSchema>(location, dataMigrations));
  const auditOptions = { folder: paths.audit, systemKey, org, cluster, log: options.log };
  const audit = closers.add(await openDataAudit(auditOptions));
  const witness = closers.add(await openControlPlaneWitness(audit, auditOptions));
  if (options.auditDays !== undefined) {
    closers.add(keepRecordsFor(audit, options.auditDays * day, systemClock, options.log));
  }
  const refusals = closers.add(new RefusalRecorder(audit, systemClock, options.log));
  const identity = closers.add(await openOwnIdentity(parts, database, audit, refusals));
  closers.add(identity.documents);
  const projectHosts = new ProjectHosts(org, database, identity.sealing);
  await projectHosts.load();
  const keys = closers.add(await openProjectKeys(parts));
  const storeAudit = createStoreAudit(audit, refusals, options.listen ? "peer" : "edge");
  const objects = await openOwnObjects(parts, keys, storeAudit, closers);
  const regions = regionsOf(parts, database, keys, objects);
  await regions.require();
  const logKey = deriveKey(systemKey, "log lines");
  const logs = closers.add(
    await openLogStore({
      folder: paths.logs,
      systemKey: logKey,
      keys,
      limits: logLimits(options.logDays, options.logGib),
      clock: systemClock,
      log: options.log,
    }),
  );
  const ledger = closers.add(
    await openLedger({
      folder: paths.ledger,
      key: ledgerKey(systemKey),
      onDrop: createLinkRecords(audit, refusals).sealed,
      onFailure: (error) => options.log.error({ event: "ledger_not_shortened", error }, "the ledger grows"),
    }),
  );
  const runsKey = deriveKey(systemKey, "runs");
  const { log } = options;
  const runs = closers.add(
    await openRuns({
      database,
      org,
      cluster,
      keys: runsKey,
      projectKeys: keys,
      bucket,
      clock: systemClock,
      log,
      onEvents: createLifecycleAudit(audit, log),
    }),
  );
  const kept = { database, audit, refusals, witness, identity, projectHosts };
  return { ...kept, keys, regions, objects, logs, ledger, runs };
}

function openOwnIdentity(
  { options, paths, config, systemKey, certificates }: OpenParts,
  database: Database<DataSchema>,
  audit: AuditLog,
  refusals: RefusalRecorder,
): Promise<Identity> {
  return openIdentity({
    org: config.org,
    cluster: config.cluster,
    folder: paths.identity,
    systemKey,
    database,
    audit,
    refusals,
    isHome: config.home === undefined,
    region: config.region,
    certificates,
    readRoot: () => requireRoot(paths.root, systemKey),
    documentMs: options.documentMs ?? limits.documentMs,
    authority: config.addresses.authority,
    router: config.addresses.router,
    objects: config.addresses.objects,
    addressFrom: options.listen ? "peer" : "edge",
    accessTokenMs: options.accessTokenMs,
    taskTokenMs: options.taskTokenMs,
    extraAuthorityPem: options.extraAuthorityPem,
    onEndpoints: (urls) => {
      for (const destination of namedByProvider(urls)) options.egress.allow(destination);
    },
    clock: systemClock,
    log: options.log,
  });
}

async function openProjectKeys({ paths, config, systemKey }: OpenParts): Promise<ProjectKeys> {
  const provider = await openKeyProvider(config.keys, paths.customerKeys);
  return ProjectKeys.open({ folder: paths.projectKeys, systemKey, provider });
}

function regionsOf(
  { options, config }: OpenParts,
  database: Database<DataSchema>,
  keys: ProjectKeys,
  objects: EmbeddedObjects,
): Regions {
  const { databaseUrl, databaseRegion } = options;
  const { region } = config;
  const parts = {
    region,
    database,
    databaseUrl,
    databaseRegion,
    objects: objects.store,
    keys: keys.provider,
  };
  return new Regions(region, backendsOf(parts));
}

async function openOwnObjects(
  { options, paths, config, systemKey }: OpenParts,
  keys: ProjectKeys,
  audit: StoreAudit,
  closers: Closers,
): Promise<EmbeddedObjects> {
  const { bucket, region } = config;
  const { log } = options;
  const folder = paths.objects;
  return closers.add(await openObjects({ folder, systemKey, keys, bucket, region, audit, log }));
}
