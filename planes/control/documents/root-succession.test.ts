import { X509Certificate } from "node:crypto";
import { authorityUri, type ListedRoot, rootUriPrefix } from "@biplane/identity";
import { createRootAuthority, crossCertify, systemClock, type TlsIdentity } from "@biplane/kit";
import { createAuthority, policyFor } from "@biplane/verify/hostile-control-plane/authority";
import { createIntermediate } from "@biplane/verify/hostile-control-plane/intermediate";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  createOrganization,
  enrollCluster,
  removeClusterFolders,
  startTestControlPlane,
  type TestControlPlane,
  type TestOrganization,
} from "../../../tests/support/control-plane.ts";
import { describeOnBothDatabases } from "../../../tests/support/postgres.ts";
import { SignedDocuments } from "./documents.ts";

const org = "acme";
const hour = 3_600_000;
afterAll(removeClusterFolders);

describeOnBothDatabases("the pinned root at the control plane", (fresh) => {
  let control: TestControlPlane;
  let organization: TestOrganization;
  let documents: SignedDocuments;
  let next: TlsIdentity;
  let crossPem: string;

  beforeAll(async () => {
    control = await startTestControlPlane(await fresh());
    organization = await createOrganization(org);
    await enrollCluster(control, organization, "home");
    documents = new SignedDocuments(control.state.store, control.state.audit, systemClock);
    next = await rootOf(2);
    crossPem = await wordOf(organization.root, next, 2);
  });
  afterAll(() => control.close());

  const uriOf = (version: number) => `${rootUriPrefix(org)}${version}`;
  const rootOf = (version: number) =>
    createRootAuthority(`Biplane root ${version} of acme`, 24 * hour, 2, [uriOf(version)]);
  const wordOf = (signer: TlsIdentity, root: TlsIdentity, version: number) =>
    crossCertify(signer, root.certificatePem, [authorityUri(org), uriOf(version)]);
  const der = (pem: string) => new X509Certificate(pem).raw.toString("base64");
  const listed = (root: TlsIdentity, cross: string): ListedRoot => ({
    ...{ certificate: der(root.certificatePem), cross: der(cross), isEverywhere: true, isOver: false },
  });
  const pinned = async () => Buffer.from((await documents.pinnedRoot(org)) ?? []).toString("base64");
  const codes = async () => {
    const found: string[] = [];
    for await (const { code } of (await control.state.audit.of(org)).readRecords()) found.push(code);
    return found.filter((code) => code === "ROOT_FOLLOWED");
  };

  test("stays where the pinned root did not sign for another, even for the authority's own documents", async () => {
    const authority = await createAuthority(org, organization.root);
    const kept = await authority.sign("clusters", 1, { clusters: [] });
    expect((await documents.accept(org, "clusters", kept)).kind).toBe("accepted");
    const intermediate = await createIntermediate(organization.root, "home", hour, [authorityUri(org)]);
    const stranger = await rootOf(2);
    const forged = {
      "the authority's intermediate's": await wordOf(intermediate, next, 2),
      "the new root's own": next.certificatePem,
      "a stranger's": await wordOf(stranger, next, 2),
    };
    for (const [whose, cross] of Object.entries(forged)) {
      const list = await authority.sign("clusters", 2, { root: listed(next, cross), clusters: [] });
      const outcome = await documents.accept(org, "clusters", list);
      expect(outcome, whose).toEqual({ kind: "refused", reason: "root_not_succeeded" });
    }
    // Signed under the other root, as a provider would that made one of its own.
    const own = await createAuthority(org, stranger, await wordOf(stranger, stranger, 2));
    const list = await own.sign("clusters", 2, { root: listed(stranger, crossPem), clusters: [] });
    expect(await documents.accept(org, "clusters", list)).toMatchObject({ reason: "unknown_authority" });
    expect(await pinned()).toBe(der(organization.root.certificatePem));
    expect((await documents.newest(org, "clusters"))?.jws).toBe(kept);
    expect(await codes()).toEqual([]);
  });

  test("follows its own word, keeps what the new root signs, and goes back for nobody", async () => {
    const before = await createAuthority(org, organization.root);
    const authority = await createAuthority(org, next, crossPem);
    const policy = await authority.sign("policy", 1, policyFor({ ada: "Admin" }));
    expect((await documents.accept(org, "policy", policy)).kind).toBe("accepted");
    const list = await authority.sign("clusters", 3, { root: listed(next, crossPem), clusters: [] });
    expect((await documents.accept(org, "clusters", list)).kind).toBe("accepted");
    expect(await pinned()).toBe(der(next.certificatePem));
    expect(await codes()).toEqual(["ROOT_FOLLOWED"]);
    const afresh = new SignedDocuments(control.state.store, control.state.audit, systemClock);
    expect((await afresh.newest(org, "policy"))?.jws).toBe(policy);
    expect((await afresh.newest(org, "clusters"))?.jws).toBe(list);

    const late = await before.sign("clusters", 4, { clusters: [] });
    expect(await documents.accept(org, "clusters", late)).toMatchObject({ reason: "unknown_authority" });
    const backCross = await wordOf(next, organization.root, 1);
    const back = await authority.sign("clusters", 4, {
      root: listed(organization.root, backCross),
      clusters: [],
    });
    expect(await documents.accept(org, "clusters", back)).toMatchObject({ reason: "root_rolled_back" });
    const older = await authority.sign("clusters", 2, { root: listed(next, crossPem), clusters: [] });
    expect(await documents.accept(org, "clusters", older)).toMatchObject({ reason: "rolled_back" });
    expect(await pinned()).toBe(der(next.certificatePem));
  });

  test("knows the root before as one that was replaced, where a cluster enrolls under it", async () => {
    await expect(enrollCluster(control, organization, "home")).rejects.toMatchObject({
      reason: "organization_root_replaced",
    });
    // Control: a root that never was the organization's is another one.
    const other = await createOrganization(org);
    await expect(enrollCluster(control, other, "home")).rejects.toMatchObject({
      reason: "organization_root",
    });
  });
});
