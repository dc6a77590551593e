/** Roles and assignments in both databases, and two administrators who act at the same moment. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { OrgId } from "@biplane/base";
import { authorityUri, policyLimits } from "@biplane/identity";
import { createRootAuthority } from "@biplane/kit/certificates";
import { newKey } from "@biplane/kit/crypto";
import { type Database, openDatabase } from "@biplane/kit/database";
import { createIntermediate } from "@biplane/verify/hostile-control-plane/intermediate";
import { afterAll, beforeAll, expect, test } from "vitest";
import { quiet } from "../../../tests/support/control-plane.ts";
import { describeOnBothDatabases } from "../../../tests/support/postgres.ts";
import { Documents } from "../documents/documents.ts";
import { Directory } from "../identity/directory.ts";
import { DocumentSigner } from "../identity/document-signer.ts";
import { readDenials } from "../identity/revocations.ts";
import { createSealing } from "../identity/sealing.ts";
import { prepareClient } from "../identity/subject-rules.ts";
import { dataMigrations } from "../store/migrations.ts";
import type { DataSchema } from "../store/schema.ts";
import { PolicyAdministration } from "./administration.ts";
import { keepAdministrator } from "./administrators.ts";
import { Policy } from "./policy.ts";

const org = "acme" as OrgId;
const hour = 3_600_000;
const clock = { now: () => Date.now() };

describeOnBothDatabases("the policy", (fresh) => {
  let folder: string;
  let database: Database<DataSchema>;
  let documents: Documents;
  let directory: Directory;
  let policy: Policy;
  let rules: PolicyAdministration;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "biplane-policy-"));
    database = await openDatabase<DataSchema>(await fresh(), dataMigrations);
    const root = await createRootAuthority("root", 24 * hour);
    const intermediate = await createIntermediate(root, "home", hour, [authorityUri(org)]);
    const key = newKey();
    const sealing = createSealing(org, key);
    const path = join(folder, "document-key.sealed");
    const signer = await DocumentSigner.open({ path, systemKey: key, org, intermediate, clock });
    documents = await Documents.open({
      ...{ org, rootPem: root.certificatePem, database, sealing, signer, clock, log: quiet },
      audit: { record: async () => {} },
      refusals: { record: async () => {} },
      lifetimeMs: 900_000,
    });
    directory = new Directory(org, database, sealing, clock);
    const denials = (transaction: Parameters<typeof readDenials>[0]) =>
      readDenials(transaction, org, Date.now());
    policy = new Policy({ org, database, documents, denials });
    rules = new PolicyAdministration({ org, policy, clock, read: (work) => directory.run(work) });
    await policy.reload();
  });
  afterAll(async () => {
    await documents.close();
    await database.close();
    await rm(folder, { recursive: true, force: true });
  });

  async function program(role: string): Promise<string> {
    const { subject } = prepareClient("key", Date.now());
    await directory.run((transaction) => directory.add(transaction, subject, { role }));
    return subject.subject;
  }

  const remove = (subject: string) =>
    directory.run((transaction) =>
      keepAdministrator({ transaction, org, nowMs: Date.now() }, () =>
        directory.remove(transaction, subject),
      ),
    );

  test("a role and an assignment are in the signed bundle with the change that made them", async () => {
    await rules.createRole("Own", ["run.read", "data.read"]);
    const before = policy.bundle!.version;
    const assigned = await rules.assign({
      principal: { kind: "group", id: "team" },
      role: "Own",
      project: "flights",
      domain: "",
    });
    expect(policy.bundle).toMatchObject({
      version: before + 1,
      roles: [{ name: "Own", permissions: ["run.read", "data.read"] }],
      assignments: [assigned],
    });
    await expect(rules.createRole("Own", ["run.read"])).rejects.toThrow(/There is a role Own/);
    await expect(rules.deleteRole("Own")).rejects.toThrow(/1 assignment has/);
    await rules.unassign(assigned.id);
    await rules.deleteRole("Own");
    expect(policy.bundle).toMatchObject({ roles: [], assignments: [] });
  });

  test("denials leave the bundle when their tokens are out of date, and very many keep nobody from being denied", async () => {
    const row = (kind: "subject" | "grant", name: string, expiresInMs: number) => ({
      ...{ org_id: org, kind, name, issued_until_seconds: 1 },
      expires_at_ms: Date.now() + expiresInMs,
    });
    const write = (rows: ReturnType<typeof row>[]) =>
      database.asOrg(org, (transaction) => transaction.insertInto("identity_denials").values(rows).execute());
    const names = () => policy.bundle!.denied.map(({ id }) => id);
    await write([row("grant", "past", -1), row("grant", "oldest", hour), row("subject", "ada", hour)]);
    await policy.reload();
    expect(names()).toEqual(["oldest", "ada"]);
    for (let first = 0; first < policyLimits.deniedMax; first += 1_000) {
      await write(Array.from({ length: 1_000 }, (_, index) => row("grant", `g${first + index}`, 2 * hour)));
    }
    await policy.reload();
    expect(policy.bundle!.denied).toHaveLength(policyLimits.deniedMax);
    expect(names()).toContain("ada");
    expect(names()).not.toContain("oldest");
    await database.asOrg(org, (transaction) => transaction.deleteFrom("identity_denials").execute());
    await policy.reload();
  });

  test("a custom role can be given to whoever is added, an unknown one can't", async () => {
    await rules.createRole("Watcher", ["run.read"]);
    await program("Watcher");
    await expect(program("Ghost")).rejects.toThrow(/no role "Ghost"/);
  });

  test("of two who remove each other at the same moment one remains", async () => {
    const two = [await program("Admin"), await program("Admin")];
    const outcomes = await Promise.allSettled(two.map(remove));
    expect(outcomes.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
    await policy.reload();
    const left = policy.bundle!.assignments.filter(({ role }) => role === "Admin");
    expect(left).toHaveLength(1);
    await expect(rules.unassign(left[0]!.id)).rejects.toThrow(/Nobody would be left/);
  });
});
