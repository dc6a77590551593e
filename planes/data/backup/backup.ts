/** `biplane root backup`: of a running plane, which is asked for its rows, or of a stopped one. */
import { open } from "node:fs/promises";
import { dirname } from "node:path";
import { BiplaneError, type OrgId, type Secret } from "@biplane/base";
import { fingerprint } from "@biplane/kit/certificates";
import { systemClock } from "@biplane/kit/clock";
import { readKeyFile } from "@biplane/kit/crypto";
import { type Database, openDatabase } from "@biplane/kit/database";
import { readFileIfAny, syncDirectory } from "@biplane/kit/files";
import { lockFolder } from "@biplane/kit/folder-lock";
import { findLocalOperations, type LocalOperations } from "@biplane/kit/local-operations";
import { readConfig } from "../config.ts";
import { readCertificates } from "../identity/certificates.ts";
import { OrganizationRoot } from "../identity/root.ts";
import { signingKeysPath } from "../identity/signing-keys.ts";
import { statePaths } from "../state.ts";
import { dataMigrations } from "../store/migrations.ts";
import type { DataSchema } from "../store/schema.ts";
import { requireStrong, sealBackup } from "./content.ts";
import { dumpIdentity, type IdentityDump } from "./tables.ts";

export interface BackupOptions {
  readonly state: string;
  readonly file: string;
  readonly passphrase: Secret<string>;
  readonly databaseUrl: string | undefined;
}

/** Which root the file holds, so that people know by its fingerprint whether it is still the organization's. */
export interface BackedUp {
  readonly org: OrgId;
  readonly cluster: string;
  readonly root: string;
  readonly rootVersion: number;
}

export async function backUpRoot(options: BackupOptions): Promise<BackedUp> {
  requireStrong(options.passphrase);
  const paths = statePaths(options.state);
  const { org, cluster, region, addresses, keys } = await readConfig(paths.config);
  const systemKey = await readKeyFile(paths.systemKey);
  const root = await OrganizationRoot.read(paths.root, systemKey);
  if (root === undefined) throw notHome(cluster);
  if ((await readFileIfAny(paths.nextRoot)) !== undefined) throw rotating();
  const { predecessor } = (await readCertificates(paths.certificates, systemKey)) ?? {};
  const signingKeys = await readFileIfAny(signingKeysPath(paths.identity));
  if (signingKeys === undefined) throw incomplete(signingKeysPath(paths.identity));
  const content = {
    version: 1,
    createdAtMs: systemClock.now(),
    ...{ org, cluster, region, addresses, keys },
    root: root.export(),
    ...(predecessor && { predecessor }),
    systemKey: Buffer.from(systemKey.reveal()).toString("base64url"),
    signingKeys: signingKeys.toString("base64url"),
    identity: mutable(await readIdentity(options, org)),
  } as const;
  await writeNewFile(options.file, await sealBackup(content, options.passphrase));
  return { org, cluster, root: fingerprint(root.certificatePem), rootVersion: root.version(org) };
}

const dumpOperation = "dump-identity";

/** What a running plane offers on its socket: sealed rows, no key. */
export function identityOperations(org: OrgId, database: Database<DataSchema>): LocalOperations {
  return async (operation) => {
    if (operation === dumpOperation) {
      return database.asOrg(org, (transaction) => dumpIdentity(transaction, org));
    }
    throw new BiplaneError("unimplemented", `There is no operation ${operation}.`);
  };
}

async function readIdentity({ state, databaseUrl }: BackupOptions, org: OrgId): Promise<IdentityDump> {
  const running = await findLocalOperations(state);
  if (running !== undefined) return (await running(dumpOperation, {})) as IdentityDump;
  const lock = await lockFolder(state);
  try {
    const location = { folder: statePaths(state).database, url: databaseUrl };
    const database = await openDatabase<DataSchema>(location, dataMigrations);
    try {
      return await database.asOrg(org, (transaction) => dumpIdentity(transaction, org));
    } finally {
      await database.close();
    }
  } finally {
    await lock.close();
  }
}

/** Never over an older backup: that may be the only good one. */
async function writeNewFile(path: string, content: Uint8Array): Promise<void> {
  const file = await open(path, "wx", 0o600).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "EEXIST") throw error;
    throw new BiplaneError("already_exists", {
      what: `There is a file ${path} already.`,
      next: "Give the backup another name.",
    });
  });
  try {
    await file.writeFile(content);
    await file.sync();
  } finally {
    await file.close();
  }
  await syncDirectory(dirname(path));
}

function mutable(dump: IdentityDump): Record<string, Record<string, unknown>[]> {
  return Object.fromEntries(
    Object.entries(dump).map(([table, rows]) => [table, rows.map((row) => ({ ...row }))]),
  );
}

function notHome(cluster: string): BiplaneError {
  return new BiplaneError("failed_precondition", {
    what: `Cluster ${cluster} does not keep the organization's root.`,
    why: "The root is in the home cluster alone.",
    next: "Run this on the home cluster's machine.",
  });
}

function rotating(): BiplaneError {
  return new BiplaneError("failed_precondition", {
    what: "The root is being replaced.",
    why: "A new one was made, and has not taken its place yet.",
    next: "Finish it with `biplane root rotate`, then back up.",
  });
}

function incomplete(path: string): BiplaneError {
  return new BiplaneError("failed_precondition", `There is no ${path}.`);
}
