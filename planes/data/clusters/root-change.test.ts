import { X509Certificate } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { clusters } from "@biplane/data-wire";
import { clusterUri, type ListedRoot, memberStatementType } from "@biplane/identity";
import { createCertificateRequest, createRootAuthority, fingerprint } from "@biplane/kit/certificates";
import { signStatement } from "@biplane/kit/cluster-statements";
import { readKeyFile } from "@biplane/kit/crypto";
import type { TlsIdentity } from "@biplane/kit/tls";
import { createIntermediate } from "@biplane/verify/hostile-control-plane/intermediate";
import { type Client, createClient } from "@connectrpc/connect";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readCertificates } from "../identity/certificates.ts";
import { joinOrganization } from "../join.ts";
import { testLog as log, startTestPlane, type TestPlane, testOrg } from "../plane.testing.ts";
import { statePaths } from "../state.ts";

let plane: TestPlane;
let folder: string;
let membership: Client<typeof clusters.MembershipService>;
/** Of the joined cluster: under the root before, and under the one that took its place. */
let before: TlsIdentity;
let after: TlsIdentity;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "biplane-root-change-"));
  plane = await startTestPlane();
  const { token } = await plane.client("Admin");
  membership = createClient(clusters.MembershipService, plane.transport(token));
  await joinAs("paris", await codeFor("paris"));
  const paths = statePaths(join(folder, "paris"));
  before = (await readCertificates(paths.certificates, await readKeyFile(paths.systemKey)))!.intermediate;
});
afterAll(async () => {
  await plane?.close();
  await rm(folder, { recursive: true, force: true });
});

const codeFor = async (cluster: string) => {
  const places = { router: `https://${cluster}.acme.test`, objects: `https://s3.${cluster}.acme.test` };
  return (await membership.createJoinCode({ cluster, ...places })).code;
};

async function joinAs(cluster: string, code: string): Promise<void> {
  const enrollCode = await plane.enrollCode(cluster);
  await joinOrganization({ state: join(folder, cluster), code, enrollCode, region: "eu-west", log });
}

async function state(signer: TlsIdentity, request = ""): Promise<Uint8Array> {
  const { documents, clusters: directory } = plane.stores.identity;
  const { taskKeys } = directory.find("paris") ?? documents.newest("clusters")!.content.clusters[0]!;
  const content = { org: testOrg, cluster: "paris", region: "eu-west", taskKeys, request };
  const iat = Math.floor(Date.now() / 1_000);
  const statement = await signStatement({ ...content, iat }, memberStatementType, signer);
  return (await membership.updateMember({ cluster: "paris", statement })).certificate;
}

const listedRoot = (): ListedRoot | undefined => plane.stores.identity.clusters.root;

test("a joined cluster counts as changed once it speaks under the new root, and not when it was given that", async () => {
  const unused = await codeFor("rome");
  expect(listedRoot()).toBeUndefined();
  const { root, waitingFor } = await plane.rotation.rotate();
  expect(waitingFor).toEqual(["paris"]);
  expect(fingerprint(Buffer.from(listedRoot()!.certificate, "base64"))).toBe(root);
  const made = await createCertificateRequest("paris");
  const request = Buffer.from(made.requestDer).toString("base64url");
  // Signed under the root before, which is still believed of a cluster that has not changed.
  const certificate = new X509Certificate(await state(before, request));
  after = { certificatePem: certificate.toString(), privateKeyPem: made.privateKeyPem };
  const { certificatePem: stranger } = await createRootAuthority("Biplane root of acme", 60_000);
  expect(certificate.verify(new X509Certificate(plane.rootPem).publicKey)).toBe(false);
  expect(certificate.verify(new X509Certificate(stranger).publicKey)).toBe(false);
  expect(listedRoot()).toMatchObject({ isEverywhere: false });
  await expect(plane.rotation.retire()).rejects.toThrow("paris");
  await state(after);
  expect(listedRoot()).toMatchObject({ isEverywhere: true, isOver: false });
  await expect(joinAs("rome", unused)).rejects.toMatchObject({ reason: "join_code" });
});

test("nobody speaks for it under a third root, nor under the root before once that is retired", async () => {
  const third = await createRootAuthority("Biplane root 2 of acme", 600_000);
  const forged = await createIntermediate(third, "paris", 600_000, [clusterUri(testOrg, "paris")]);
  await expect(state(forged)).rejects.toThrow("permission_denied");
  // Control: before that it is known and only no longer listed, which is another answer.
  await expect(state(before)).rejects.toThrow("not_found");
  expect((await plane.rotation.retire()).leadsOn).toBe(false);
  expect(listedRoot()).toMatchObject({ isOver: true });
  await expect(state(before)).rejects.toThrow("permission_denied");
  await state(after);
});
