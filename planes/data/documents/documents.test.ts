import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { OrgId } from "@biplane/base";
import { authorityUri, type PolicyContent } from "@biplane/identity";
import type { AuditInput } from "@biplane/kit/audit-log";
import { createRootAuthority } from "@biplane/kit/certificates";
import { newKey } from "@biplane/kit/crypto";
import { type Database, openDatabase } from "@biplane/kit/database";
import type { TlsIdentity } from "@biplane/kit/tls";
import { eventually } from "@biplane/verify/frame/eventually";
import {
  createAuthority,
  policyFor,
  type TestAuthority,
} from "@biplane/verify/hostile-control-plane/authority";
import { createIntermediate } from "@biplane/verify/hostile-control-plane/intermediate";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { quiet } from "../../../tests/support/control-plane.ts";
import { describeOnBothDatabases } from "../../../tests/support/postgres.ts";
import { DocumentSigner } from "../identity/document-signer.ts";
import { createSealing } from "../identity/sealing.ts";
import { dataMigrations } from "../store/migrations.ts";
import type { DataSchema } from "../store/schema.ts";
import { Documents } from "./documents.ts";

const org = "acme" as OrgId;
const hour = 3_600_000;
const key = newKey();
let root: TlsIdentity;
let folder: string;

beforeAll(async () => {
  root = await createRootAuthority("root", 24 * hour);
  folder = await mkdtemp(join(tmpdir(), "biplane-documents-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describeOnBothDatabases("documents in a data plane", (fresh) => {
  let database: Database<DataSchema>;
  let now: number;
  let audited: AuditInput[];
  /** What went by the recorder that nobody can fill the log through. */
  let bounded: AuditInput[];
  let opened: Documents[];

  beforeEach(async () => {
    database = await openDatabase<DataSchema>(await fresh(), dataMigrations);
    now = Date.now();
    audited = [];
    bounded = [];
    opened = [];
  });
  afterEach(async () => {
    for (const documents of opened) await documents.close();
    await database.close();
  });

  async function open(
    signer?: DocumentSigner,
    roots: { rootPem: string; predecessorPem?: string } = { rootPem: root.certificatePem },
  ): Promise<Documents> {
    const documents = await Documents.open({
      org,
      ...roots,
      database,
      sealing: createSealing(org, key),
      audit: { record: async (record) => void audited.push(record) },
      refusals: {
        record: async (record) => {
          bounded.push(record);
          audited.push(record);
        },
      },
      signer,
      lifetimeMs: 900_000,
      clock: { now: () => now },
      log: quiet,
    });
    opened.push(documents);
    return documents;
  }

  async function openSigner(under = root): Promise<DocumentSigner> {
    const intermediate = await createIntermediate(under, "home", hour, [authorityUri(org)]);
    const path = join(folder, `key-${Math.random()}`);
    return DocumentSigner.open({ path, systemKey: key, org, intermediate, clock: { now: () => now } });
  }

  async function issue(documents: Documents, content: PolicyContent): Promise<void> {
    const issued = await database.asOrg(org, (transaction) =>
      documents.issue(transaction, "policy", content),
    );
    issued.announce();
  }

  test("are signed at home under a version that grows with each change", async () => {
    const home = await open(await openSigner());
    const told: string[] = [];
    home.onIssued((kind) => told.push(kind));
    await issue(home, policyFor({ ada: "Admin" }));
    expect(home.newest("policy")?.head.version).toBe(1);
    await issue(home, policyFor({ ada: "Admin" }));
    expect(home.newest("policy")?.head.version).toBe(1);
    await issue(home, policyFor({ ada: "Viewer" }));
    expect(home.newest("policy")?.head.version).toBe(2);
    expect(told).toHaveLength(3);
    // A transaction that is rolled back has changed nothing.
    const failing = database.asOrg(org, async (transaction) => {
      await home.issue(transaction, "policy", policyFor({}));
      throw new Error("no");
    });
    await expect(failing).rejects.toThrow("no");
    expect((await open(await openSigner())).newest("policy")?.content).toEqual(policyFor({ ada: "Viewer" }));
  });

  test("are believed elsewhere until they expire, through a restart (claim IAM-3)", async () => {
    const authority = await createAuthority(org, root);
    const branch = await open();
    expect(branch.current("policy")).toBeUndefined();
    await branch.receive("policy", await authority.sign("policy", 4, policyFor({ ada: "Admin" })));
    const again = await open();
    expect(again.current("policy")?.head.version).toBe(4);
    now += 901_000;
    expect(again.current("policy")).toBeUndefined();
    expect((await open()).newest("policy")?.head.version).toBe(4);
    await expect(issue(again, policyFor({}))).rejects.toThrow("home cluster only");
  });

  test("go on at home under a root that took another one's place, which is believed for what is kept alone", async () => {
    const before = await open(await openSigner());
    await issue(before, policyFor({ ada: "Admin" }));
    const first = before.text("policy")!;
    await issue(before, policyFor({ ada: "Viewer" }));
    const next = await createRootAuthority("root 2", 24 * hour, 2);
    // Control: without the root before, what is kept can't be read, and the versions would begin again.
    expect((await open(undefined, { rootPem: next.certificatePem })).newest("policy")).toBeUndefined();
    const roots = { rootPem: next.certificatePem, predecessorPem: root.certificatePem };
    const home = await open(await openSigner(next), roots);
    expect(home.newest("policy")).toMatchObject({
      head: { version: 2 },
      content: policyFor({ ada: "Viewer" }),
    });
    // A control plane that is behind gives back what was signed here, which is no alarm.
    await home.receive("policy", first);
    expect(audited).toEqual([]);
    // Whoever has the old key may still sign newer ones; nobody believes them any more.
    const old = await createAuthority(org, root);
    await home.receive("policy", await old.sign("policy", 9, policyFor({ mallory: "Admin" })));
    expect(audited).toMatchObject([{ code: "DOCUMENT_REFUSED", reason: "document_unknown_authority" }]);
    expect(home.newest("policy")?.head.version).toBe(2);
  });

  test.each([
    // Set back, or a timer that was early: it has gone off by the time that the clock comes to the end.
    ["is slower than the timer", 899_950, 100],
    // Set forward, or a machine that slept.
    ["jumps beyond the end", 0, 900_000],
  ])("end for whoever watches when the clock says so, also where it %s", async (_, passedMs, leftMs) => {
    const authority = await createAuthority(org, root);
    const branch = await open();
    const issuedAt = Math.floor(now / 1_000);
    now = issuedAt * 1_000 + passedMs;
    const head = { issuedAt, expiresAt: issuedAt + 900 };
    await branch.receive("policy", await authority.sign("policy", 4, policyFor({ ada: "Admin" }), head));
    let hasEnded = false;
    branch.onCurrent("policy", () => {
      hasEnded ||= branch.current("policy") === undefined;
    });
    await sleep(200);
    // The control: nothing has ended before the clock is there.
    expect(hasEnded).toBe(false);
    now += leftMs;
    const within = { withinMs: 30_000, what: "The end being told" };
    await eventually(
      async () => hasEnded,
      (ended) => ended,
      within,
    );
  });

  test("never go stale at home, which signs them again", async () => {
    const signer = await openSigner();
    await issue(await open(signer), policyFor({ ada: "Admin" }));
    now += 1_800_000;
    const home = await open(signer);
    expect(home.current("policy")?.head).toMatchObject({
      version: 1,
      expiresAt: Math.floor(now / 1_000) + 900,
    });
  });

  test("that nobody of the organization signed, or that are old, are refused and audited (claims TRUST-1, TRUST-3)", async () => {
    const authority = await createAuthority(org, root);
    const provider = await createAuthority(org, await createRootAuthority("root", hour));
    const branch = await open();
    const kept = await authority.sign("policy", 4, policyFor({ ada: "Admin" }));
    await branch.receive("policy", kept);
    await branch.receive("policy", kept);
    const all = policyFor({ mallory: "Admin" });
    await branch.receive("policy", await provider.sign("policy", 5, all));
    await branch.receive("policy", await authority.sign("policy", 3, all));
    await branch.receive("policy", await authority.sign("policy", 4, all));
    await branch.receive("policy", await authority.sign("policy", 5, all, { org: "other" }));
    await branch.receive("policy", await authority.sign("policy", 5, all, { issuedAt: 1, expiresAt: 2 }));
    expect(branch.newest("policy")?.content).toEqual(policyFor({ ada: "Admin" }));
    expect(audited.map(({ code, reason }) => `${code} ${reason ?? ""}`.trim())).toEqual([
      "DOCUMENT_ACCEPTED",
      "DOCUMENT_REFUSED document_unknown_authority",
      "DOCUMENT_REFUSED document_rolled_back",
      "DOCUMENT_REFUSED document_forked",
      "DOCUMENT_REFUSED document_wrong_organization",
      "DOCUMENT_REFUSED document_expired",
    ]);
    expect(bounded).toEqual(audited.slice(1));
    // Control: the authority's own next version is taken.
    await branch.receive("policy", await authority.sign("policy", 5, all));
    expect(branch.newest("policy")?.content).toEqual(all);
  });

  test("of a home that was restored from an older copy go beyond what others hold", async () => {
    const authority: TestAuthority = await createAuthority(org, root);
    const home = await open(await openSigner());
    await issue(home, policyFor({ ada: "Admin" }));
    await home.receive("policy", await authority.sign("policy", 9, policyFor({ bob: "Admin" })));
    expect(home.newest("policy")).toMatchObject({
      head: { version: 10 },
      content: policyFor({ ada: "Admin" }),
    });
  });

  test("of a home that is made again days later go beyond what others hold too, which is out of date by then", async () => {
    const authority: TestAuthority = await createAuthority(org, root);
    const home = await open(await openSigner());
    await issue(home, policyFor({ ada: "Admin" }));
    const daysAgo = Math.floor(now / 1_000) - 3 * 86_400;
    const head = { issuedAt: daysAgo, expiresAt: daysAgo + 900 };
    await home.receive("policy", await authority.sign("policy", 9, policyFor({ bob: "Admin" }), head));
    expect(home.newest("policy")?.head.version).toBe(10);
    // The control: what is older than its own stays without any effect.
    await home.receive("policy", await authority.sign("policy", 4, policyFor({ bob: "Admin" }), head));
    expect(home.newest("policy")?.head.version).toBe(10);
  });
});
