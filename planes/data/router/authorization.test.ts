import { rpcTable } from "@biplane/classification";
import type { RoleName } from "@biplane/identity";
import { create, type DescField, type DescMessage, type DescMethod } from "@bufbuild/protobuf";
import { Code, ConnectError, type Transport } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createServices } from "../api/index.ts";
import type { ApiParts } from "../api/parts.ts";
import { startTestPlane, type TestPlane, testOrg } from "../plane.testing.ts";

/** Said once more by hand, so that a mistake in the roles or in the table is seen. */
const onlyForTasks = new Set([
  "flyteidl2.actions.ActionsService/Enqueue",
  "flyteidl2.actions.ActionsService/WatchForUpdates",
  "biplane.data.v1.ChildrenService/Enqueue",
  "biplane.data.v1.ChildrenService/Watch",
  "biplane.data.v1.ChildrenService/RecordTraces",
]);
const onlyForAdmins = new Set([
  "flyteidl2.project.ProjectService/CreateProject",
  "flyteidl2.project.ProjectService/UpdateProject",
  "biplane.data.v1.BorderService/ReadLedger",
  ...["ListKeys", "RotateKey", "DisableKey", "EnableKey", "DestroyKey", "AssignKey"].map(
    (method) => `biplane.data.v1.KeysService/${method}`,
  ),
  "biplane.data.v1.AuditService/GetLog",
  "biplane.data.v1.AuditService/ReadRecords",
  "biplane.data.v1.AuditService/ReadTile",
  ...["CreateUser", "GetUser", "ListUsers", "InviteUser", "DisableUser", "EnableUser", "DeleteUser"].map(
    (name) => `biplane.data.v1.UserService/${name}`,
  ),
  ...["RevokeUser", "ListSessions", "RevokeSession"].map((name) => `biplane.data.v1.UserService/${name}`),
  ...["CreateApiKey", "GetApiKey", "ListApiKeys", "DeleteApiKey"].map(
    (name) => `biplane.data.v1.ApiKeyService/${name}`,
  ),
  ...["CreateJoinCode", "RemoveCluster"].map((name) => `biplane.data.v1.MembershipService/${name}`),
  ...["ListSigningKeys", "RotateSigningKeys"].map((name) => `biplane.data.v1.AuthorityService/${name}`),
]);
const notForViewers = new Set([
  "flyteidl2.task.TaskService/DeployTask",
  "flyteidl2.workflow.RunService/CreateRun",
  "flyteidl2.workflow.RunService/AbortRun",
  "flyteidl2.workflow.RunService/AbortAction",
  "flyteidl2.dataproxy.DataProxyService/CreateUploadLocation",
  "flyteidl2.dataproxy.DataProxyService/UploadInputs",
  "flyteidl2.actions.ActionsService/Abort",
]);

interface Method {
  readonly name: string;
  readonly desc: DescMethod;
}

const methods: Method[] = createServices({} as ApiParts).flatMap(({ service }) =>
  service.methods
    .map((desc) => ({ name: `${service.typeName}/${desc.name}`, desc }))
    .filter(({ name }) => name in rpcTable),
);

let plane: TestPlane;
beforeAll(async () => {
  plane = await startTestPlane();
});
afterAll(() => plane?.close());

describe.each<RoleName>(["Admin", "Contributor", "Viewer"])("a program that is %s", (role) => {
  test("may call what its role permits and nothing else; each call is on record (claims IAM-2, AUD-1)", async () => {
    const client = await plane.client(role);
    const transport = plane.transport(client.token);
    const decided: Record<string, string> = {};
    for (const method of methods) decided[method.name] = await decisionOn(transport, method, testOrg);
    expect(decided).toEqual(
      Object.fromEntries(methods.map(({ name }) => [name, permitted(role, name) ? "allowed" : "denied"])),
    );
    const recorded = (await plane.audit()).filter((record) => record.subject === client.id);
    const rpcs = recorded.filter((record) => record.method in rpcTable);
    expect(rpcs.map((record) => record.method)).toEqual(
      methods.filter(({ name }) => rpcTable[name]!.permission !== "anonymous").map(({ name }) => name),
    );
    for (const record of rpcs) {
      expect(record.decision, record.method).toBe(permitted(role, record.method) ? "allowed" : "denied");
      expect(record.code).toBe(rpcTable[record.method]!.audit);
      expect(record.requestId).not.toBe("");
    }
  });
});

test("another organization's names are not found by any method that can carry them (claim ISO-1)", async () => {
  const admin = await plane.client("Admin");
  const transport = plane.transport(admin.token);
  const carrying = methods.filter(
    (method) => JSON.stringify(initFor(method, "x")) !== JSON.stringify(initFor(method, "y")),
  );
  expect(carrying.length).toBeGreaterThan(25);
  for (const method of carrying) {
    expect(await decisionOn(transport, method, "other"), method.name).toBe("hidden");
  }
});

test("a role in one project-domain holds there and nowhere else (claim IAM-2)", async () => {
  const scope = { project: "flights", domain: "development" };
  const client = await plane.client("Contributor", scope);
  const transport = plane.transport(client.token);
  const method = methods.find(({ name }) => name.endsWith("/CreateUploadLocation"))!;
  const at = (place: object) => call(transport, method.desc, create(method.desc.input, place as never));
  expect(await at(scope)).toBe("allowed");
  expect(await at({ ...scope, domain: "production" })).toBe("denied");
  expect(await at({ ...scope, project: "other" })).toBe("denied");
});

test("somebody without any role may do nothing", async () => {
  const client = await plane.client("Viewer", { project: "nowhere", domain: "nowhere" });
  await plane.stores.database.kysely
    .deleteFrom("identity_assignments")
    .where("subject", "=", client.id)
    .execute();
  await plane.stores.identity.policy.reload();
  const transport = plane.transport(client.token);
  for (const method of methods) {
    if (rpcTable[method.name]!.permission === "anonymous") continue;
    expect(await decisionOn(transport, method, testOrg), method.name).toBe("denied");
  }
});

function permitted(role: RoleName, name: string): boolean {
  if (onlyForTasks.has(name)) return false;
  if (onlyForAdmins.has(name)) return role === "Admin";
  return role !== "Viewer" || !notForViewers.has(name);
}

function decisionOn(transport: Transport, method: Method, org: string): Promise<string> {
  return call(transport, method.desc, create(method.desc.input, initFor(method, org) as never));
}

async function call(transport: Transport, desc: DescMethod, message: object): Promise<string> {
  // Watches that are allowed would go on for ever.
  const signal = AbortSignal.timeout(desc.methodKind === "unary" ? 10_000 : 400);
  try {
    if (desc.methodKind === "unary") {
      await transport.unary(desc as never, signal, undefined, undefined, message as never);
    } else {
      async function* once() {
        yield message;
      }
      const stream = await transport.stream(desc as never, signal, undefined, undefined, once() as never);
      for await (const _ of stream.message) break;
    }
    return "allowed";
  } catch (error) {
    const { code, metadata } = ConnectError.from(error);
    const reason = metadata.get("biplane-reason");
    if (code === Code.PermissionDenied && reason === "not_permitted") return "denied";
    if (code === Code.NotFound && reason === "unknown") return "hidden";
    if (code === Code.Unauthenticated || code === Code.Internal || code === Code.Unimplemented) throw error;
    return "allowed";
  }
}

const names: Readonly<Record<string, string>> = {
  project: "flights",
  domain: "development",
  name: "r1",
  id: "flights",
  version: "v1",
  parent: "a0",
  parentActionName: "a0",
};

/** As little as names a resource of the organization: what the row's rule looks at, and its parts. */
function initFor({ name, desc }: Method, org: string): Record<string, unknown> {
  const { at } = rpcTable[name]!.resource;
  if (at.length === 0) return {};
  return at[0] === "" ? fill(desc.input, org) : { ...place(desc.input.field[at[0]!]!, org) };
}

function place(field: DescField, org: string): Record<string, unknown> {
  const value = field.fieldKind === "message" ? fill(field.message, org) : org;
  if (field.oneof === undefined) return { [field.localName]: value };
  return { [field.oneof.localName]: { case: field.localName, value } };
}

function fill(desc: DescMessage, org: string): Record<string, unknown> {
  const filled: Record<string, unknown> = {};
  for (const field of desc.fields) {
    if (field.oneof !== undefined) continue;
    if (field.localName === "org" || field.localName === "organization") filled[field.localName] = org;
    else if (field.fieldKind === "scalar" && field.localName in names)
      filled[field.localName] = names[field.localName];
    else if (field.fieldKind === "message" && ["run", "actionId"].includes(field.localName)) {
      filled[field.localName] = fill(field.message, org);
    }
  }
  return filled;
}
