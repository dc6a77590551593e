/** Role by scope by method of the index: the control plane decides as a model of a few lines does (claim IAM-2). */
import { indexTable } from "@biplane/classification/control-table";
import { IndexService } from "@biplane/control-wire";
import type { PolicyContent } from "@biplane/identity";
import { createAuthority } from "@biplane/verify/hostile-control-plane/authority";
import { indexDecision, indexExpectation, indexMethods } from "@biplane/verify/policy/index-matrix";
import { matrixRoles, matrixScopes, operator } from "@biplane/verify/policy/matrix-subjects";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  createOrganization,
  enrollCluster,
  removeClusterFolders,
  startTestControlPlane,
  type TestCluster,
  type TestControlPlane,
} from "../../../tests/support/control-plane.ts";
import { LinkPeer } from "../../../tests/support/link-peer.ts";

const org = "acme";
const subjects = matrixRoles.flatMap((role) =>
  Object.values(matrixScopes).map((scope, index) => ({ org, id: `${role}-${index}`, role, scope })),
);
const content: PolicyContent = {
  roles: [operator],
  assignments: subjects.map(({ id, role, scope }, index) => ({
    id: `a-${index}`,
    principal: { kind: "subject", id },
    role,
    scope,
  })),
  denied: [],
};

let control: TestControlPlane;
let home: TestCluster;
let peer: LinkPeer;

beforeAll(async () => {
  control = await startTestControlPlane();
  const organization = await createOrganization(org);
  home = await enrollCluster(control, organization, "home");
  peer = new LinkPeer(home);
  await peer.open();
  await peer.publishPolicy(await (await createAuthority(org, organization.root)).sign("policy", 1, content));
});
afterAll(async () => {
  peer?.close();
  await control?.close();
  await removeClusterFolders();
});

test("every method of the index has a row", () => {
  expect(Object.keys(indexTable).sort()).toEqual(Object.keys(IndexService.method).sort());
});

test.each(indexMethods)("%s", async (name) => {
  const decided: Record<string, string> = {};
  const expected: Record<string, string> = {};
  for (const subject of subjects) {
    expected[subject.id] = indexExpectation(subject, name);
    decided[subject.id] = await indexDecision(home.transportAs(subject.id), name, org);
  }
  expect(decided).toEqual(expected);
  expect(new Set(Object.values(expected)).size, "both answers are there").toBe(2);
});
