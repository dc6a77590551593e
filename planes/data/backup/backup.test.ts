import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Secret } from "@biplane/base";
import { systemClock } from "@biplane/kit/clock";
import { readKeyFile } from "@biplane/kit/crypto";
import { type Database, openDatabase } from "@biplane/kit/database";
import { serveLocalOperations } from "@biplane/kit/local-operations";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startTestControlPlane, type TestControlPlane } from "../../../tests/support/control-plane.ts";
import { describeOnBothDatabases, type TestDatabase } from "../../../tests/support/postgres.ts";
import { readCertificates } from "../identity/certificates.ts";
import { Directory } from "../identity/directory.ts";
import { createSealing } from "../identity/sealing.ts";
import { openSigningKeys, signingKeysPath } from "../identity/signing-keys.ts";
import { preparePerson } from "../identity/subject-rules.ts";
import { type InitOptions, initialize, prepareRoot } from "../init.ts";
import { testLog as log, testCluster, testOrg } from "../plane.testing.ts";
import { statePaths } from "../state.ts";
import { dataMigrations } from "../store/migrations.ts";
import { readIncarnation } from "../store/outbox-rows.ts";
import type { DataSchema } from "../store/schema.ts";
import { backUpRoot, identityOperations } from "./backup.ts";
import { restoreRoot } from "./restore.ts";

const passphrase = new Secret("six random words, kept elsewhere");

describeOnBothDatabases("A backup of the root", (fresh) => {
  let folder: string;
  let control: TestControlPlane;
  let before: Known;
  let file: string;
  const folders: string[] = [];

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "biplane-root-"));
    control = await startTestControlPlane({ folder: join(folder, "control") });
    const database = await fresh();
    const state = join(folder, "home");
    await initialize({ ...names(), ...(await newPlace(state, database)), enrollCode: await code() });
    await withDatabase(state, database, async (opened, directory) => {
      const ada = { email: "ada@acme.test", name: "Ada", password: new Secret("correct horse battery") };
      const person = await preparePerson(ada, Date.now());
      await opened.asOrg(testOrg, (transaction) => directory.add(transaction, person, { role: "Admin" }));
    });
    before = await knownOf(state, database);
    file = join(folder, "root.backup");
    await backUpRoot({ state, file, passphrase, databaseUrl: database.url });
    // The home cluster's disk is gone.
    await rm(state, { recursive: true });
  });
  afterAll(async () => {
    await control?.close();
    for (const path of [...folders, folder]) await rm(path, { recursive: true, force: true });
  });

  const code = () => control.code(testOrg, testCluster);
  const names = () => ({ org: testOrg, cluster: testCluster, region: "local", addresses: {}, log });
  const newPlace = async (state: string, database: TestDatabase) => {
    folders.push(state);
    return { state, databaseUrl: database.url };
  };

  test("brings people, policy, keys and root back onto an empty disk; what named the old copy is new", async () => {
    const database = await fresh();
    const place = await newPlace(join(folder, "restored"), database);
    const restored = await restoreRoot({ ...names(), ...place, file, passphrase, enrollCode: await code() });
    expect(restored).toMatchObject({ identity: "restored", config: { org: testOrg, cluster: testCluster } });
    const after = await knownOf(place.state, database);
    expect(after.person).toEqual(before.person);
    expect(after.assignments).toEqual(before.assignments);
    expect(after.rootPem).toBe(before.rootPem);
    expect(after.tokenKey).toBe(before.tokenKey);
    // Clients go on with the profile that they have.
    expect(JSON.parse(after.profile)).toEqual(JSON.parse(before.profile));
    expect(after.intermediatePem).not.toBe(before.intermediatePem);
    expect(after.linkKey).not.toBe(before.linkKey);
    expect(after.incarnation).not.toBe(before.incarnation);
    const again = restoreRoot({ ...names(), ...place, file, passphrase, enrollCode: "used" });
    await expect(again).rejects.toMatchObject({ code: "already_exists" });
  });

  test("keeps a database that was not lost: it knows more than the backup", async () => {
    const database = await fresh();
    const place = await newPlace(join(folder, "kept"), database);
    await restoreRoot({ ...names(), ...place, file, passphrase, enrollCode: await code() });
    await withDatabase(place.state, database, (opened) =>
      opened.asOrg(testOrg, (transaction) =>
        transaction.updateTable("identity_assignments").set({ role: "Viewer" }).execute(),
      ),
    );
    // The disk is lost, the database is not; only PostgreSQL lives elsewhere.
    const keys = await readFile(statePaths(place.state).systemKey);
    await rm(statePaths(place.state).config);
    const kept = await restoreRoot({ ...names(), ...place, file, passphrase, enrollCode: await code() });
    expect(kept.identity).toBe("kept");
    const after = await knownOf(place.state, database);
    expect(after.assignments).toMatchObject([{ role: "Viewer" }]);
    expect(await readFile(statePaths(place.state).systemKey)).toEqual(keys);
  });

  test("is worth nothing without its passphrase, changed, or cut off, and leaves nothing behind then", async () => {
    const state = join(folder, "refused");
    const place = await newPlace(state, await fresh());
    const options = { ...names(), ...place, enrollCode: await code() };
    const other = new Secret("six other words, not these ones");
    await expect(restoreRoot({ ...options, file, passphrase: other })).rejects.toMatchObject({
      code: "permission_denied",
    });
    const content = await readFile(file);
    expect(content.includes("PRIVATE KEY")).toBe(false);
    content[content.length - 100]! ^= 1;
    const changed = join(folder, "changed.backup");
    await writeFile(changed, content);
    await expect(restoreRoot({ ...options, file: changed, passphrase })).rejects.toMatchObject({
      code: "permission_denied",
    });
    await expect(readFile(statePaths(state).systemKey)).rejects.toThrow("ENOENT");
  });

  test("nothing else makes the organization again: a new root is refused at the control plane, whatever its code", async () => {
    const place = await newPlace(join(folder, "impostor"), await fresh());
    const impostor = initialize({ ...names(), ...place, enrollCode: await code() });
    await expect(impostor).rejects.toMatchObject({ code: "permission_denied", reason: "organization_root" });
  });

  test("is never written over another file, nor under a short passphrase", async () => {
    const database = await fresh();
    const place = await newPlace(join(folder, "again"), database);
    await restoreRoot({ ...names(), ...place, file, passphrase, enrollCode: await code() });
    const options = { state: place.state, databaseUrl: database.url };
    await expect(backUpRoot({ ...options, file, passphrase })).rejects.toMatchObject({
      code: "already_exists",
    });
    const weak = backUpRoot({ ...options, file: `${file}.2`, passphrase: new Secret("short") });
    await expect(weak).rejects.toMatchObject({ code: "invalid_argument" });
  });

  test("is made of a running plane as of a stopped one", async () => {
    const database = await fresh();
    const place = await newPlace(join(folder, "running"), database);
    await restoreRoot({ ...names(), ...place, file, passphrase, enrollCode: await code() });
    const running = join(folder, "running.backup");
    await withDatabase(place.state, database, async (opened) => {
      const served = await serveLocalOperations(place.state, identityOperations(testOrg, opened));
      await backUpRoot({ ...place, file: running, passphrase });
      await served.close();
    });
    const next = await newPlace(join(folder, "from-running"), await fresh());
    const options = { ...names(), ...next, file: running, passphrase, enrollCode: await code() };
    expect((await restoreRoot(options)).identity).toBe("restored");
  });
});

test("a code that names a root pins no other one, even as the organization's first", async () => {
  const folder = await mkdtemp(join(tmpdir(), "biplane-bound-"));
  const control = await startTestControlPlane({ folder: join(folder, "control") });
  const options = (state: string, enrollCode: string): InitOptions => ({
    ...{ state: join(folder, state), org: testOrg, cluster: testCluster, region: "local", addresses: {} },
    ...{ databaseUrl: undefined, log, enrollCode },
  });
  const { rootFingerprint } = await prepareRoot(options("home", ""));
  const bound = await control.code(testOrg, testCluster, rootFingerprint);
  await expect(initialize(options("thief", bound))).rejects.toMatchObject({ reason: "enrollment_code" });
  expect((await initialize(options("home", bound))).config.org).toBe(testOrg);
  await control.close();
  await rm(folder, { recursive: true });
});

type Known = Awaited<ReturnType<typeof knownOf>>;

async function knownOf(state: string, location: TestDatabase) {
  const paths = statePaths(state);
  const systemKey = await readKeyFile(paths.systemKey);
  const certificates = await readCertificates(paths.certificates, systemKey);
  const keys = await openSigningKeys(signingKeysPath(paths.identity), systemKey);
  const link = JSON.parse(await readFile(join(paths.link, "enrollment.json"), "utf8"));
  return withDatabase(state, location, async (database, directory) => {
    const { rows, incarnation } = await database.asOrg(testOrg, async (transaction) => ({
      rows: await transaction.selectFrom("identity_assignments").selectAll().execute(),
      incarnation: await readIncarnation(transaction, testOrg),
    }));
    return {
      person: await directory.signIn("ada@acme.test", new Secret("correct horse battery")),
      assignments: rows,
      incarnation: incarnation?.id,
      rootPem: certificates?.root.certificatePem,
      intermediatePem: certificates?.intermediate.certificatePem,
      tokenKey: keys.authority.kid,
      linkKey: link.identity.privateKeyPem,
      profile: await readFile(paths.profile, "utf8"),
    };
  });
}

async function withDatabase<T>(
  state: string,
  { url }: TestDatabase,
  work: (database: Database<DataSchema>, directory: Directory) => Promise<T>,
): Promise<T> {
  const paths = statePaths(state);
  const location = { folder: paths.database, url };
  const database = await openDatabase<DataSchema>(location, dataMigrations);
  try {
    const sealing = createSealing(testOrg, await readKeyFile(paths.systemKey));
    return await work(database, new Directory(testOrg, database, sealing, systemClock));
  } finally {
    await database.close();
  }
}
