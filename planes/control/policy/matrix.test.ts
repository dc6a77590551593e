/** Role by scope by method of the index: the control plane decides as a model of a few lines does (claim IAM-2). */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type IndexMethod, indexTable } from "@biplane/classification/control-table";
import { IndexService } from "@biplane/control-wire";
import type { AssignmentScope, PolicyContent, Resource } from "@biplane/identity";
import { createAuthority } from "@biplane/verify/hostile-control-plane/authority";
import { create, type DescMethodUnary } from "@bufbuild/protobuf";
import { Code, ConnectError, type Transport } from "@connectrpc/connect";
import { afterAll, beforeAll, expect, test } from "vitest";
import { modelDecision } from "../../../tests/policy/model.ts";
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
const place = { project: "flights", domain: "development" };
const world = { projects: ["flights", "other", "none"], domains: ["development", "production", "none"] };
const roles = [{ name: "Operator", permissions: ["records.read", "project.update"] }];
const roleNames = ["Admin", "Contributor", "Viewer", "Operator"];
const scopes: Readonly<Record<string, AssignmentScope>> = {
  organization: {},
  domain: { domain: place.domain },
  project: { project: place.project },
  "project-domain": place,
  elsewhere: { ...place, project: "other" },
};
const subjects = roleNames.flatMap((role) =>
  Object.entries(scopes).map(([name, scope]) => ({ id: `${role}-${name}`, role, scope })),
);
const content: PolicyContent = {
  roles,
  assignments: subjects.map(({ id, role, scope }, index) => ({
    id: `a-${index}`,
    principal: { kind: "subject", id },
    role,
    scope,
  })),
  denied: [],
};

let folder: string;
let control: TestControlPlane;
let home: TestCluster;
let peer: LinkPeer;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "biplane-matrix-"));
  control = await startTestControlPlane({ folder });
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
  await rm(folder, { recursive: true, force: true });
});

const named: Readonly<Record<string, { request: object; resource: Resource }>> = {
  organization: { request: {}, resource: { org } },
  project: { request: { id: place.project }, resource: { org, project: place.project } },
  "project-domain": { request: place, resource: { org, ...place } },
  run: { request: { run: { org, ...place, name: "r1" } }, resource: { org, ...place, run: "r1" } },
};

async function decisionOn(transport: Transport, method: DescMethodUnary, request: object): Promise<string> {
  try {
    const message = create(method.input, request as never);
    await transport.unary(method, undefined, undefined, undefined, message);
    return "allowed";
  } catch (error) {
    const { code, metadata } = ConnectError.from(error);
    if (code === Code.PermissionDenied && metadata.get("biplane-reason") === "not_permitted") return "denied";
    if (code === Code.Unauthenticated || code === Code.Internal) throw error;
    // It was let through, and found nothing.
    return "allowed";
  }
}

test("every method of the index has a row", () => {
  expect(Object.keys(indexTable).sort()).toEqual(Object.keys(IndexService.method).sort());
});

test.each(Object.keys(IndexService.method) as IndexMethod[])("%s", async (name) => {
  const { permissions, resource } = indexTable[name];
  const asked = named[resource]!;
  const method = IndexService.method[name] as unknown as DescMethodUnary;
  const decided: Record<string, string> = {};
  const expected: Record<string, string> = {};
  for (const { id } of subjects) {
    const actor = { org, subject: id, kind: "user", groups: [] } as const;
    const answers = permissions.map((permission) =>
      modelDecision(world, { org, content }, actor, permission, asked.resource),
    );
    expected[id] = answers.includes("allowed") ? "allowed" : "denied";
    decided[id] = await decisionOn(home.transportAs(id), method, asked.request);
  }
  expect(decided).toEqual(expected);
  expect(new Set(Object.values(expected)).size, "both answers are there").toBe(2);
});
