/**
 * Makes a data plane: keys, the organization's root, its certificates, the profile for clients, the one-time claim, and
 * the enrollment with a control plane. Running it again with the same folder goes on where it was cut off.
 */
import { mkdir } from "node:fs/promises";
import { BiplaneError, type ClusterId, type OrgId, type Secret } from "@biplane/base";
import { type Profile, publicClientId } from "@biplane/identity";
import { fingerprint } from "@biplane/kit/certificates";
import { systemClock } from "@biplane/kit/clock";
import { readOrCreateKeyFile } from "@biplane/kit/crypto";
import { openDatabase } from "@biplane/kit/database";
import { readFileIfAny, writeFileDurably } from "@biplane/kit/files";
import { lockFolder } from "@biplane/kit/folder-lock";
import type { Logger } from "@biplane/kit/logging";
import { type DataPlaneConfig, isAddress, readConfig, writeConfig } from "./config.ts";
import { createCertificates, readCertificates } from "./identity/certificates.ts";
import { Claims } from "./identity/claims.ts";
import { Directory } from "./identity/directory.ts";
import { signingKeysPath } from "./identity/index.ts";
import { createSealing } from "./identity/sealing.ts";
import { controlTokenKeySet, openSigningKeys } from "./identity/signing-keys.ts";
import { type Enrollment, enroll, readEnrollment } from "./link/index.ts";
import { type StatePaths, statePaths } from "./state.ts";
import { dataMigrations } from "./store/migrations.ts";
import type { DataSchema } from "./store/schema.ts";

export interface InitOptions {
  readonly state: string;
  readonly org: OrgId;
  readonly cluster: ClusterId;
  readonly enrollCode: string;
  readonly region: string;
  readonly addresses: Partial<DataPlaneConfig["addresses"]>;
  readonly databaseUrl: string | undefined;
  /** Where the customer's keys are; files by default. */
  readonly keys?: DataPlaneConfig["keys"];
  readonly log: Logger;
}

export interface InitResult {
  readonly config: DataPlaneConfig;
  readonly profile: string;
  readonly claim: Secret<string>;
}

export async function initialize(options: InitOptions): Promise<InitResult> {
  await mkdir(options.state, { recursive: true, mode: 0o700 });
  const lock = await lockFolder(options.state);
  try {
    return await initializeLocked(options);
  } finally {
    await lock.close();
  }
}

async function initializeLocked(options: InitOptions): Promise<InitResult> {
  const paths = statePaths(options.state);
  await requireFresh(paths, options);
  // Before the one-time code is used up.
  for (const [service, address] of Object.entries(options.addresses)) requireAddress(service, address);
  const systemKey = await readOrCreateKeyFile(paths.systemKey);
  const certificates =
    (await readCertificates(paths.certificates, systemKey)) ??
    (await createCertificates(paths.certificates, systemKey, options));
  const signingKeys = await openSigningKeys(signingKeysPath(paths.identity), systemKey);
  const enrollment =
    (await readEnrollment(paths.link)) ??
    (await enroll({
      code: options.enrollCode,
      org: options.org,
      cluster: options.cluster,
      organizationRootPem: certificates.root.certificatePem,
      controlTokenKeys: controlTokenKeySet(signingKeys),
      region: options.region,
      folder: paths.link,
      log: options.log,
    }));
  const config = configOf(options, enrollment);
  await writeFileDurably(
    paths.profile,
    `${JSON.stringify(profileOf(config, certificates.root.certificatePem), null, 2)}\n`,
    0o644,
  );
  const claim = await createClaim(options.state, options.org, options.databaseUrl);
  // Last: a folder with a configuration is complete.
  await writeConfig(paths.config, config);
  return { config, profile: paths.profile, claim };
}

/** A claim for an administrator; earlier ones that nobody redeemed stop working. The plane must not be running. */
export async function newClaim(
  state: string,
  org: OrgId,
  databaseUrl: string | undefined,
): Promise<Secret<string>> {
  const lock = await lockFolder(state);
  try {
    return await createClaim(state, org, databaseUrl);
  } finally {
    await lock.close();
  }
}

async function createClaim(
  state: string,
  org: OrgId,
  databaseUrl: string | undefined,
): Promise<Secret<string>> {
  const paths = statePaths(state);
  const sealing = createSealing(org, await readOrCreateKeyFile(paths.systemKey));
  const location = { folder: paths.database, url: databaseUrl };
  const database = await openDatabase<DataSchema>(location, dataMigrations);
  try {
    const directory = new Directory(org, database, sealing, systemClock);
    return await new Claims({ org, database, sealing, directory, clock: systemClock }).create();
  } finally {
    await database.close();
  }
}

async function requireFresh(paths: StatePaths, options: InitOptions): Promise<void> {
  if ((await readFileIfAny(paths.config)) === undefined) return;
  const { org, cluster } = await readConfig(paths.config);
  throw new BiplaneError("already_exists", {
    what: `The data plane of cluster ${cluster}, organization ${org}, is in ${options.state} already.`,
    next: "Start it with `biplane data start`, or give another folder by --state.",
  });
}

function configOf(options: InitOptions, enrollment: Enrollment): DataPlaneConfig {
  return {
    version: 1,
    org: options.org,
    cluster: options.cluster,
    region: options.region,
    bucket: "biplane",
    keys: options.keys ?? { kind: "file" },
    addresses: {
      router: addressOf("router", 8443, options, enrollment),
      authority: addressOf("authority", 8444, options, enrollment),
      objects: addressOf("objects", 8445, options, enrollment),
    },
  };
}

/** As given; else what the provider says; else this machine. */
function addressOf(
  service: keyof DataPlaneConfig["addresses"],
  defaultPort: number,
  options: InitOptions,
  enrollment: Enrollment,
): string {
  const announced = enrollment.addresses[service];
  return requireAddress(
    service,
    options.addresses[service] ??
      (announced === undefined ? `https://localhost:${defaultPort}` : `https://${announced}`),
  );
}

function requireAddress(service: string, address: string): string {
  if (isAddress(address)) return address;
  throw new BiplaneError("invalid_argument", {
    what: `${JSON.stringify(address)} can't be the address of the ${service}.`,
    why: "It has to look like https://HOST:PORT.",
    next: `Give another one by --${service}.`,
  });
}

function profileOf(config: DataPlaneConfig, rootPem: string): Profile {
  return {
    version: 1,
    org: config.org,
    cluster: config.cluster,
    ...config.addresses,
    bucket: config.bucket,
    region: config.region,
    rootPem,
    rootFingerprint: fingerprint(rootPem),
    publicClientId,
  };
}
