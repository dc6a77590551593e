/**
 * `biplane root restore`: makes the home cluster again from a backup, on an empty disk. Keys, people and policy are
 * the old ones; what names this copy of the plane (intermediate, link certificate, incarnation) is new.
 */
import { randomUUID } from "node:crypto";
import { mkdir, readFile } from "node:fs/promises";
import { BiplaneError, type Secret } from "@biplane/base";
import { type Key, readOrCreateKeyFile } from "@biplane/kit/crypto";
import { openDatabase } from "@biplane/kit/database";
import { readFileIfAny, writeFileDurably } from "@biplane/kit/files";
import { lockFolder } from "@biplane/kit/folder-lock";
import type { Logger } from "@biplane/kit/logging";
import type { DataPlaneConfig } from "../config.ts";
import { enrollHome } from "../enroll-home.ts";
import { OrganizationRoot } from "../identity/root.ts";
import { signingKeysPath } from "../identity/signing-keys.ts";
import {
  type Addresses,
  addressesOf,
  requireAddresses,
  requireFresh,
  writeProfileAndConfig,
} from "../setup.ts";
import { type StatePaths, statePaths } from "../state.ts";
import { dataMigrations } from "../store/migrations.ts";
import { writeIncarnation } from "../store/outbox-rows.ts";
import type { DataSchema } from "../store/schema.ts";
import { type BackupContent, openBackup } from "./content.ts";
import { isIdentityEmpty, restoreIdentity } from "./tables.ts";

export interface RestoreOptions {
  readonly state: string;
  readonly file: string;
  readonly passphrase: Secret<string>;
  readonly enrollCode: string;
  readonly addresses: Partial<Addresses>;
  readonly databaseUrl: string | undefined;
  readonly log: Logger;
}

export interface RestoreResult {
  readonly config: DataPlaneConfig;
  readonly profile: string;
  /** `kept`: the database was not lost, and knows more than the backup. */
  readonly identity: "restored" | "kept";
}

export async function restoreRoot(options: RestoreOptions): Promise<RestoreResult> {
  const content = await openBackup(new Uint8Array(await readFile(options.file)), options.passphrase);
  await mkdir(options.state, { recursive: true, mode: 0o700 });
  const lock = await lockFolder(options.state);
  try {
    return await restoreLocked(options, content);
  } finally {
    await lock.close();
  }
}

async function restoreLocked(options: RestoreOptions, content: BackupContent): Promise<RestoreResult> {
  const paths = statePaths(options.state);
  await requireFresh(paths);
  const given = { ...content.addresses, ...options.addresses };
  requireAddresses(given);
  const { org, cluster, region, keys } = content;
  const systemKey = await restoreKeys(paths, content);
  const identity = await restoreDatabase(options, content);
  const { enrollment, rootPem } = await enrollHome(paths, systemKey, {
    ...{ org, cluster, region, predecessor: content.predecessor },
    enrollCode: options.enrollCode,
    log: options.log,
  });
  const addresses = addressesOf(given, enrollment);
  const settings = { org, cluster, region, addresses, keys };
  const config = await writeProfileAndConfig(paths, settings, addresses, rootPem);
  return { config, profile: paths.profile, identity };
}

/** Again after a cut-off restore; keys of another plane are never written over. */
async function restoreKeys(paths: StatePaths, content: BackupContent): Promise<Key> {
  const bytes = Buffer.from(content.systemKey, "base64url");
  const present = await readFileIfAny(paths.systemKey);
  if (present === undefined) await writeFileDurably(paths.systemKey, bytes);
  else if (!present.equals(bytes)) throw otherPlane(paths.folder);
  const systemKey = await readOrCreateKeyFile(paths.systemKey);
  await OrganizationRoot.import(content.root).write(paths.root, systemKey);
  const signingKeys = Buffer.from(content.signingKeys, "base64url");
  await writeFileDurably(signingKeysPath(paths.identity), signingKeys);
  return systemKey;
}

/** The new incarnation makes the control plane ask for a snapshot, and count as lost what that lacks. */
async function restoreDatabase(
  options: RestoreOptions,
  { org, identity }: BackupContent,
): Promise<RestoreResult["identity"]> {
  const location = { folder: statePaths(options.state).database, url: options.databaseUrl };
  const database = await openDatabase<DataSchema>(location, dataMigrations);
  try {
    return await database.asOrg(org, async (transaction) => {
      const isEmpty = await isIdentityEmpty(transaction, org);
      if (isEmpty) await restoreIdentity(transaction, identity);
      await writeIncarnation(transaction, org, randomUUID());
      return isEmpty ? "restored" : "kept";
    });
  } finally {
    await database.close();
  }
}

function otherPlane(folder: string): BiplaneError {
  return new BiplaneError("already_exists", {
    what: `The state folder ${folder} holds the keys of another data plane.`,
    next: "Give an empty folder by --state.",
  });
}
