/**
 * Makes the home cluster: keys, the organization's root, its certificates, the profile for clients, the one-time claim,
 * and the enrollment with a control plane. Running it again with the same folder goes on where it was cut off.
 */
import { mkdir } from "node:fs/promises";
import type { OrgId, Secret } from "@biplane/base";
import { fingerprint } from "@biplane/kit/certificates";
import { systemClock } from "@biplane/kit/clock";
import { readOrCreateKeyFile } from "@biplane/kit/crypto";
import { openDatabase } from "@biplane/kit/database";
import { lockFolder } from "@biplane/kit/folder-lock";
import type { Logger } from "@biplane/kit/logging";
import type { DataPlaneConfig } from "./config.ts";
import { enrollHome, openHomeCertificates } from "./enroll-home.ts";
import { Claims } from "./identity/claims.ts";
import { Directory } from "./identity/directory.ts";
import { createSealing } from "./identity/sealing.ts";
import {
  addressesOf,
  type ClusterSettings,
  requireAddresses,
  requireFresh,
  writeProfileAndConfig,
} from "./setup.ts";
import { statePaths } from "./state.ts";
import { dataMigrations } from "./store/migrations.ts";
import type { DataSchema } from "./store/schema.ts";

export interface InitOptions extends ClusterSettings {
  readonly state: string;
  readonly enrollCode: string;
  readonly databaseUrl: string | undefined;
  readonly log: Logger;
}

export interface InitResult {
  readonly config: DataPlaneConfig;
  readonly profile: string;
  readonly claim: Secret<string>;
}

export function initialize(options: InitOptions): Promise<InitResult> {
  return withFolder(options.state, () => initializeLocked(options));
}

/** Makes the organization's root and nothing else: its fingerprint can then be written into the enrollment code. */
export function prepareRoot(
  options: Pick<InitOptions, "state" | "org" | "cluster">,
): Promise<{ rootFingerprint: string }> {
  return withFolder(options.state, async () => {
    const paths = statePaths(options.state);
    await requireFresh(paths);
    const systemKey = await readOrCreateKeyFile(paths.systemKey);
    const { root } = await openHomeCertificates(paths, systemKey, options);
    return { rootFingerprint: fingerprint(root.certificatePem) };
  });
}

async function initializeLocked(options: InitOptions): Promise<InitResult> {
  const paths = statePaths(options.state);
  await requireFresh(paths);
  requireAddresses(options.addresses);
  const systemKey = await readOrCreateKeyFile(paths.systemKey);
  const { enrollment, rootPem } = await enrollHome(paths, systemKey, options);
  const addresses = addressesOf(options.addresses, enrollment);
  const claim = await createClaim(options.state, options.org, options.databaseUrl);
  const config = await writeProfileAndConfig(paths, options, addresses, rootPem);
  return { config, profile: paths.profile, claim };
}

/** Alone in a state folder, which is made where there is none. */
export async function withFolder<T>(state: string, work: () => Promise<T>): Promise<T> {
  await mkdir(state, { recursive: true, mode: 0o700 });
  const lock = await lockFolder(state);
  try {
    return await work();
  } finally {
    await lock.close();
  }
}

/** A claim for an administrator; earlier ones that nobody redeemed stop working. The plane must not be running. */
export function newClaim(
  state: string,
  org: OrgId,
  databaseUrl: string | undefined,
): Promise<Secret<string>> {
  return withFolder(state, () => createClaim(state, org, databaseUrl));
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
