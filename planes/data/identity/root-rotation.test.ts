import { X509Certificate } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ClusterId, OrgId } from "@biplane/base";
import { rootUriPrefix } from "@biplane/identity";
import type { AuditInput } from "@biplane/kit/audit-log";
import { createRootAuthority, fingerprint, isIssuedByRoot } from "@biplane/kit/certificates";
import { newKey } from "@biplane/kit/crypto";
import { judgeSuccessor } from "@biplane/kit/root-succession";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createCertificates, OwnCertificates, readCertificates } from "./certificates.ts";
import { OrganizationRoot } from "./root.ts";
import { finishRotation, RootRotation } from "./root-rotation.ts";

const names = { org: "acme" as OrgId, cluster: "home" as ClusterId };
const systemKey = newKey();
let folder: string;
let paths: { root: string; nextRoot: string; certificates: string };
let certificates: OwnCertificates;
let recorded: AuditInput[];
let laggards: string[];
let signed: string[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "biplane-rotation-"));
  paths = {
    root: join(folder, "root.sealed"),
    nextRoot: join(folder, "root-next.sealed"),
    certificates: join(folder, "certificates.sealed"),
  };
  await makeHome(await OrganizationRoot.create(names.org));
  [recorded, laggards, signed] = [[], [], []];
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function makeHome(root: OrganizationRoot): Promise<void> {
  await root.write(paths.root, systemKey);
  const sign = (request: Uint8Array) => root.signHome(request, names);
  const made = await createCertificates(paths.certificates, systemKey, root.certificatePem, sign);
  certificates = new OwnCertificates(paths.certificates, systemKey, made);
}

function rotation(record = async (input: AuditInput) => void recorded.push(input)): RootRotation {
  return new RootRotation({
    ...{ paths, systemKey, names, certificates, audit: { record } },
    documents: { signAgain: async () => void signed.push("documents") },
    members: {
      publish: async () => void signed.push("list"),
      forgetAllCodes: async () => {},
      laggards: async () => laggards,
    },
  });
}

const rootOnDisk = async () => (await OrganizationRoot.read(paths.root, systemKey))!;

/** Everything on disk is under one root, which the one before signed for. */
async function expectWhole(before: string): Promise<void> {
  expect(existsSync(paths.nextRoot)).toBe(false);
  const root = await rootOnDisk();
  const kept = (await readCertificates(paths.certificates, systemKey))!;
  expect(kept.root.certificatePem).toBe(root.certificatePem);
  const intermediate = new X509Certificate(kept.intermediate.certificatePem);
  expect(isIssuedByRoot(intermediate, new X509Certificate(root.certificatePem), Date.now())).toBe(true);
  expect(kept.predecessor).toMatchObject({ rootPem: before, isOver: false });
  const der = (pem: string) => new X509Certificate(pem).raw.toString("base64");
  const successor = { certificate: der(root.certificatePem), cross: der(kept.predecessor!.crossPem) };
  expect(judgeSuccessor(before, successor, rootUriPrefix(names.org), Date.now()).kind).toBe("successor");
}

test("a rotation replaces the key, tells the audit log of it first, and signs the policy before the list", async () => {
  const before = certificates.rootPem;
  const shown: string[] = [];
  certificates.onChange(async (next) => void shown.push(next.served.certificatePem));
  const state = await rotation().rotate();
  expect(state).toEqual({
    root: fingerprint(certificates.rootPem),
    before: fingerprint(before),
    waitingFor: [],
    leadsOn: true,
  });
  await expectWhole(before);
  expect((await rootOnDisk()).version(names.org)).toBe(2);
  expect(recorded).toMatchObject([{ code: "ROOT_ROTATED", decision: "allowed", requestId: state.root }]);
  expect(signed).toEqual(["documents", "list"]);
  expect(shown[0]).toContain(certificates.present.predecessor!.crossPem);
  // Said again, it makes no other root.
  expect(await rotation().rotate()).toEqual(state);
  expect(recorded).toHaveLength(1);
});

test("what can't be recorded is not done", async () => {
  const before = certificates.rootPem;
  const full = () => Promise.reject(new Error("The disk is full."));
  await expect(rotation(full).rotate()).rejects.toThrow("full");
  expect(existsSync(paths.nextRoot)).toBe(false);
  expect((await rootOnDisk()).certificatePem).toBe(before);
});

test("a crash at any step is finished by the next start or by the command, with the root that was begun", async () => {
  const before = certificates.rootPem;
  const next = await (await rootOnDisk()).succeed(names.org);
  await OrganizationRoot.writeNext(paths.nextRoot, systemKey, next);
  const crash = () => Promise.reject(new Error("crash"));
  const place = { paths, systemKey, names };
  await expect(finishRotation(place, certificates.present, crash)).rejects.toThrow("crash");
  expect(certificates.rootPem).toBe(before);
  await certificates.replace(await finishRotation(place, certificates.present, async () => {}));
  await expectWhole(before);
  // Cut off right before the end: all is written already.
  await OrganizationRoot.writeNext(paths.nextRoot, systemKey, next);
  const state = await rotation().rotate();
  expect(state.root).toBe(fingerprint(next.root.certificatePem));
  expect(recorded).toEqual([]);
  await expectWhole(before);
});

test("the root before is retired once every cluster left it, and another rotation may follow only then", async () => {
  await expect(rotation().retire()).rejects.toMatchObject({ code: "failed_precondition" });
  const first = await rotation().rotate();
  laggards = ["paris"];
  await expect(rotation().retire()).rejects.toThrow("paris");
  expect(certificates.served.certificatePem).toContain(certificates.present.predecessor!.crossPem);
  laggards = [];
  expect(await rotation().retire()).toMatchObject({ root: first.root, leadsOn: false });
  expect(certificates.served).toEqual(certificates.present.intermediate);
  // Documents go on leading those who missed it, as a control plane that was away.
  expect(certificates.intermediate.certificatePem).toContain(certificates.present.predecessor!.crossPem);
  const second = await rotation().rotate();
  expect(second.before).toBe(first.root);
  expect((await rootOnDisk()).version(names.org)).toBe(3);
  expect(recorded.map(({ code }) => code)).toEqual(["ROOT_ROTATED", "ROOT_RETIRED", "ROOT_ROTATED"]);
});

test("a root without a number can't be replaced, and nothing is begun", async () => {
  await makeHome(OrganizationRoot.import(await createRootAuthority("Biplane root of acme", 60_000)));
  await expect(rotation().rotate()).rejects.toMatchObject({ code: "failed_precondition" });
  expect(existsSync(paths.nextRoot)).toBe(false);
  expect(recorded).toEqual([]);
});
