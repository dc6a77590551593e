import { rpcTable } from "@biplane/classification";
import type { AssignmentScope, Resource } from "@biplane/identity";
import { create, type DescField, type DescMessage, type DescMethod } from "@bufbuild/protobuf";
import { Code, ConnectError, type Transport } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { modelDecision } from "../../../tests/policy/model.ts";
import { createServices } from "../api/index.ts";
import type { ApiParts } from "../api/parts.ts";
import { startTestPlane, type TestClient, type TestPlane, testOrg } from "../plane.testing.ts";

/** Beside the built-in ones, some of everything: it permits what no built-in role permits without more. */
const operator = {
  name: "Operator",
  permissions: ["run.abort", "keys.read", "project.read", "policy.write", "data.upload"],
};
const roleNames = ["Admin", "Contributor", "Viewer", operator.name];
const place = { project: "flights", domain: "development" };
const scopes: Readonly<Record<string, AssignmentScope>> = {
  "the organization": {},
  "the domain": { domain: place.domain },
  "the project": { project: place.project },
  "the project-domain": place,
  "another project": { ...place, project: "other" },
};
const world = { projects: ["flights", "other", "none"], domains: ["development", "production", "none"] };

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
  await plane.stores.identity.rules.createRole(operator.name, operator.permissions);
});
afterAll(() => plane?.close());

/** By the table's row and the model of tests/policy, which knows nothing of Cedar or of how roles are kept. */
function expectedFor(method: Method, client: TestClient, role: string, scope: AssignmentScope): string {
  const { permission } = rpcTable[method.name]!;
  if (permission === "anonymous") return "allowed";
  const principal = { kind: "subject" as const, id: client.id };
  const content = { roles: [operator], assignments: [{ id: "a", principal, role, scope }], denied: [] };
  const actor = { org: testOrg, subject: client.id, kind: "service" as const, groups: [] };
  return modelDecision(world, { org: testOrg, content }, actor, permission, asked(method));
}

/** What the request names, by the kind of its row. */
function asked(method: Method): Resource {
  const { kind } = rpcTable[method.name]!.resource;
  if (kind === "organization") return { org: testOrg };
  if (kind !== "project") return { org: testOrg, ...place };
  const said = JSON.stringify(initFor(method, testOrg));
  const project = said.includes(place.project) ? { project: place.project } : {};
  return { org: testOrg, ...project, ...(said.includes(place.domain) ? { domain: place.domain } : {}) };
}

describe.each(roleNames)("a program that is %s", (role) => {
  test.each(Object.keys(scopes))(
    "in %s may call what that permits and nothing else; each call is on record (claims IAM-2, AUD-1)",
    async (name) => {
      const scope = scopes[name]!;
      const client = await plane.client(role, scope);
      const transport = plane.transport(client.token);
      const decided: Record<string, string> = {};
      const expected: Record<string, string> = {};
      for (const method of methods) expected[method.name] = expectedFor(method, client, role, scope);
      await atOnce(8, methods, async (method) => {
        decided[method.name] = await decisionOn(transport, method, testOrg);
      });
      expect(decided).toEqual(expected);
      const records = (await plane.audit()).filter(({ subject }) => subject === client.id);
      const rpcs = records.filter(({ method }) => method in rpcTable);
      const named = methods.filter((method) => rpcTable[method.name]!.permission !== "anonymous");
      expect(rpcs.map(({ method }) => method).sort()).toEqual(named.map((method) => method.name).sort());
      for (const record of rpcs) {
        expect(record.decision, record.method).toBe(expected[record.method]);
        expect(record.code).toBe(rpcTable[record.method]!.audit);
        expect(record.requestId).not.toBe("");
      }
    },
  );
});

test("control: both answers are in the matrix for every method that is about a place", () => {
  const client = { id: "x", secret: "", token: "" };
  for (const method of methods) {
    const { permission } = rpcTable[method.name]!;
    if (permission === "anonymous" || permission.startsWith("children.")) continue;
    const answers = roleNames.flatMap((role) =>
      Object.values(scopes).map((scope) => expectedFor(method, client, role, scope)),
    );
    expect(answers, method.name).toContain("allowed");
    if (asked(method).project !== undefined) expect(answers, method.name).toContain("denied");
  }
});

async function atOnce<T>(
  count: number,
  items: readonly T[],
  work: (item: T) => Promise<void>,
): Promise<void> {
  const left = [...items];
  const one = async () => {
    for (let item = left.shift(); item !== undefined; item = left.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: count }, one));
}

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
  const scope = place;
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
  return at[0] === "" ? fill(desc.input, org) : { ...named(desc.input.field[at[0]!]!, org) };
}

function named(field: DescField, org: string): Record<string, unknown> {
  const value = field.fieldKind === "message" ? fill(field.message, org) : org;
  if (field.oneof === undefined) return { [field.localName]: value };
  return { [field.oneof.localName]: { case: field.localName, value } };
}

function fill(desc: DescMessage, org: string): Record<string, unknown> {
  const filled: Record<string, unknown> = {};
  const isProject = desc.typeName === "flyteidl2.common.ProjectIdentifier";
  for (const field of desc.fields) {
    if (field.oneof !== undefined) continue;
    if (field.localName === "org" || field.localName === "organization") filled[field.localName] = org;
    else if (field.fieldKind === "scalar" && field.localName in names)
      filled[field.localName] = names[isProject && field.localName === "name" ? "project" : field.localName];
    else if (field.fieldKind === "message" && ["run", "actionId"].includes(field.localName)) {
      filled[field.localName] = fill(field.message, org);
    }
  }
  return filled;
}
