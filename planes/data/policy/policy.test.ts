/** Roles and assignments as administrators change them over the router, and what they decide at once (claim IAM-2). */
import type { AttemptId } from "@biplane/base";
import { flyte, identity, policy as wire } from "@biplane/data-wire";
import { isKeptOut } from "@biplane/identity";
import { decide } from "@biplane/identity/decide";
import { type CallOptions, type Client, type ConnectError, createClient } from "@connectrpc/connect";
import { decodeJwt } from "jose";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { SubjectGroups } from "../identity/subject-groups.ts";
import { requestToken, startTestPlane, type TestClient, type TestPlane, testOrg } from "../plane.testing.ts";

let plane: TestPlane;
let admin: TestClient;
beforeAll(async () => {
  plane = await startTestPlane();
  admin = await plane.client("Admin");
});
afterAll(() => plane?.close());

const policies = (token = admin.token) => createClient(wire.PolicyService, plane.transport(token));
const keys = (token = admin.token) => createClient(identity.ApiKeyService, plane.transport(token));
const users = (token = admin.token) => createClient(identity.UserService, plane.transport(token));

async function outcomeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return "ok";
  } catch (error) {
    const { metadata, rawMessage } = error as ConnectError;
    return metadata.get("biplane-reason") ?? rawMessage;
  }
}

let keyCount = 0;
async function program(role = "", scope: { project?: string; domain?: string } = {}) {
  keyCount += 1;
  const { key, secret } = await keys().createApiKey({ name: `key-${keyCount}`, role, ...scope });
  const token = await requestToken(plane.config.addresses.authority, plane.rootPem, key!.id, secret);
  return { id: key!.id, token };
}

const place = { project: "flights", domain: "development" };
const upload = (token: string, at: object = place, options: CallOptions = {}) =>
  createClient(flyte.dataproxy.DataProxyService, plane.transport(token)).createUploadLocation(
    { ...at, filename: "f", contentMd5: new Uint8Array(16), org: "acme" } as never,
    options,
  );

test("a role of one's own permits what it says, where it is assigned, until it is changed", async () => {
  await policies().createRole({ name: "Uploader", permissions: ["data.upload"] });
  const { id, token } = await program();
  expect(await outcomeOf(upload(token))).toBe("not_permitted");
  const principal = { case: "subject", value: id } as const;
  const { assignment } = await policies().createAssignment({ principal, role: "Uploader", ...place });
  expect(await outcomeOf(upload(token))).not.toBe("not_permitted");
  expect(await outcomeOf(upload(token, { ...place, domain: "production" }))).toBe("not_permitted");
  await policies().updateRole({ name: "Uploader", permissions: ["data.read"] });
  expect(await outcomeOf(upload(token))).toBe("not_permitted");
  await policies().updateRole({ name: "Uploader", permissions: ["data.upload", "data.read"] });
  expect(await outcomeOf(upload(token))).not.toBe("not_permitted");
  expect(await outcomeOf(policies().deleteRole({ name: "Uploader" }))).toMatch(/1 assignment has the role/);
  await policies().deleteAssignment({ id: assignment!.id });
  expect(await outcomeOf(upload(token))).toBe("not_permitted");
  expect(await outcomeOf(policies().deleteRole({ name: "Uploader" }))).toBe("ok");
  expect(await outcomeOf(policies().getRole({ name: "Uploader" }))).toMatch(/no role/);
});

test("roles and assignments are listed, the built-in ones first; the same assignment again is one", async () => {
  await policies().createRole({ name: "Auditor", permissions: ["run.read", "audit.read"] });
  const wanted = { principal: { case: "group", value: "auditors" }, role: "Auditor" } as const;
  const first = await policies().createAssignment(wanted);
  expect((await policies().createAssignment(wanted)).assignment?.id).toBe(first.assignment?.id);
  const { roles } = await policies().listRoles({});
  expect(roles.map(({ name, builtIn }) => `${name} ${builtIn}`)).toEqual([
    ...["Admin true", "Contributor true", "Viewer true", "Auditor false"],
  ]);
  const listed: wire.Assignment[] = [];
  let token = "";
  do {
    const page = await policies().listAssignments({ limit: 2, token });
    listed.push(...page.assignments);
    ({ token } = page);
  } while (token !== "");
  expect(new Set(listed.map(({ id }) => id)).size).toBe(listed.length);
  expect(listed.filter(({ role }) => role === "Auditor")).toMatchObject([
    { principal: { case: "group", value: "auditors" }, project: "", domain: "" },
  ]);
});

test("an assignment gets another role and place in one version of the policy; the last administrator keeps theirs", async () => {
  const { id, token } = await program("Viewer", place);
  const own = async () =>
    (await policies().listAssignments({ limit: 1_000 })).assignments.find(
      ({ principal }) => principal.value === id,
    )!;
  expect(await outcomeOf(upload(token))).toBe("not_permitted");
  const { version } = await policies().getPolicy({});
  const { assignment } = await policies().updateAssignment({ id: (await own()).id, role: "Contributor" });
  expect(assignment).toMatchObject({ role: "Contributor", ...place, principal: { value: id } });
  expect((await policies().getPolicy({})).version).toBe(version + 1n);
  expect(await outcomeOf(upload(token))).not.toBe("not_permitted");
  const wide = await policies().updateAssignment({ id: assignment!.id, project: "", domain: "" });
  expect(wide.assignment).toMatchObject({ role: "Contributor", project: "", domain: "" });
  expect(await own()).toEqual(wide.assignment);
  expect(await outcomeOf(policies().updateAssignment({ id: assignment!.id, role: "Viewer" }))).toMatch(
    /no assignment|no such/i,
  );
  const again = (changes: object) => policies().updateAssignment({ id: wide.assignment!.id, ...changes });
  expect(await outcomeOf(again({ role: "Ghost" }))).toMatch(/no role "Ghost"/);
  expect(await outcomeOf(again({ project: "a/b" }))).toMatch(/not a valid project/);
  const { assignments } = await policies().listAssignments({ limit: 1_000 });
  const last = assignments.find((one) => one.role === "Admin" && one.principal.value === admin.id)!;
  const lowered = policies().updateAssignment({ id: last.id, role: "Viewer" });
  expect(await outcomeOf(lowered)).toBe("last_administrator");
});

test.each([
  ["a built-in name", { name: "Admin", permissions: ["run.read"] }, /built in/],
  ["a name with a slash", { name: "a/b", permissions: ["run.read"] }, /can't be a role's name/],
  [
    "an unknown permission",
    { name: "Weather", permissions: ["weather.read"] },
    /no permission "weather.read"/,
  ],
  ["what only tasks have", { name: "Task", permissions: ["children.write"] }, /that a role can have/],
])("a role with %s is refused", async (_, wanted, text) => {
  expect(await outcomeOf(policies().createRole(wanted))).toMatch(text);
});

test.each([
  ["somebody who does not exist", { principal: { case: "subject", value: "user-nobody" } }, /no such person/],
  ["nobody", { principal: { case: undefined } }, /says nobody/],
  [
    "a role that does not exist",
    { principal: { case: "group", value: "g" }, role: "Ghost" },
    /no role "Ghost"/,
  ],
  [
    "a project with a slash",
    { principal: { case: "group", value: "g" }, project: "a/b" },
    /not a valid project/,
  ],
] as const)("an assignment of %s is refused", async (_, wanted, text) => {
  const asked = { role: "Viewer", ...wanted } as Parameters<
    Client<typeof wire.PolicyService>["createAssignment"]
  >[0];
  expect(await outcomeOf(policies().createAssignment(asked))).toMatch(text);
});

describe("whoever may not change the policy", () => {
  test("can't do so by adding a person or a program either", async () => {
    await policies().createRole({ name: "People", permissions: ["identity.manage", "identity.read"] });
    const { token } = await program("People");
    expect(await outcomeOf(policies(token).createRole({ name: "X", permissions: [] }))).toBe("not_permitted");
    expect(await outcomeOf(keys(token).createApiKey({ name: "mine", role: "Admin" }))).toBe("not_permitted");
    const person = { email: "me@example.com", name: "Me" };
    expect(await outcomeOf(users(token).createUser({ ...person, role: "Admin" }))).toBe("not_permitted");
    expect(await outcomeOf(users(token).createUser({ ...person, role: "" }))).toBe("ok");
  });

  test("may ask of themselves, and of nobody else", async () => {
    const { id, token } = await program("Viewer", place);
    const { explanation } = await policies(token).canI({ permission: "run.read", ...place });
    expect(explanation).toMatchObject({ subject: id, allowed: true });
    const asked = policies(token).explain({ subject: admin.id, permission: "run.read" });
    expect(await outcomeOf(asked)).toBe("not_permitted");
  });
});

describe("an explanation", () => {
  test("names the policy and the assignments that decide", async () => {
    const { id } = await program("Viewer", place);
    const principal = { case: "group", value: "watchers" } as const;
    const { assignment } = await policies().createAssignment({ principal, role: "Viewer" });
    const asked = { subject: id, permission: "run.read", ...place };
    const own = (await policies().explain(asked)).explanation!;
    expect(own.allowed).toBe(true);
    expect(own.because.map(({ policy, assignments }) => [policy?.id, assignments.length])).toEqual([
      ["role Viewer", 1],
    ]);
    expect(own.because[0]?.policy?.text).toContain('Action::"run.read"');
    const both = (await policies().explain({ ...asked, groups: ["watchers"] })).explanation!;
    expect(both.because[0]?.assignments).toHaveLength(2);
    const elsewhere = { ...asked, domain: "production", groups: ["watchers"] };
    const byGroup = (await policies().explain(elsewhere)).explanation!;
    expect(byGroup.because[0]?.assignments.map((one) => one.id)).toEqual([assignment?.id]);
    const refused = (await policies().explain({ ...asked, domain: "production" })).explanation!;
    expect(refused).toMatchObject({ allowed: false, because: [], refusal: "" });
    expect(refused.policyVersion).toBe((await policies().getPolicy({})).version);
    expect(await outcomeOf(policies().explain({ ...asked, permission: "run.fly" }))).toMatch(/no permission/);
  });
});

test("the policy is shown as signed and as Cedar reads it", async () => {
  const { signed, policies: texts, schema, version } = await policies().getPolicy({});
  const payload = JSON.parse(Buffer.from(signed.split(".")[1]!, "base64url").toString());
  expect(BigInt(payload.version)).toBe(version);
  expect(texts.map(({ id }) => id)).toContain("limits of attempts");
  expect(schema).toContain("entity ProjectDomain in [Project, Domain];");
});

test("a person who is kept out has no role while that lasts, and has it again afterwards", async () => {
  const { user } = await users().createUser({ email: "bob@example.com", name: "Bob", role: "Contributor" });
  const held = () =>
    plane.stores.identity.policy.bundle!.assignments.filter(
      ({ principal }) => principal.id === user!.subject,
    );
  expect(held()).toHaveLength(1);
  await users().disableUser({ user: user!.subject });
  expect(held()).toEqual([]);
  const { explanation } = await policies().explain({ subject: user!.subject, permission: "run.read" });
  expect(explanation).toMatchObject({ allowed: false, refusal: "disabled" });
  // What their tasks do by a group's role is refused for as long, not only while tokens of then may be in date.
  const { database, identity: own } = plane.stores;
  await database.kysely.deleteFrom("identity_denials").where("name", "=", user!.subject).execute();
  await own.policy.reload();
  expect(isKeptOut(own.policy.bundle!, user!.subject)).toBe(true);
  await users().enableUser({ user: user!.subject });
  expect(held()).toHaveLength(1);
  await users().deleteUser({ user: user!.subject });
  expect(held()).toEqual([]);
});

test("a task has the rights that its submitter has by a group, over a restart too (claim IAM-4)", async () => {
  const { org, database, identity: own } = { org: testOrg, ...plane.stores };
  const principal = { case: "group", value: "crew" } as const;
  await policies().createAssignment({ principal, role: "Viewer", ...place });
  const attempt = { org, ...place, run: "r1", action: "a0", attempt: 1 } as AttemptId;
  await own.groups.note("user-of-crew", ["crew", "everybody"], 100);
  await own.groups.note("user-of-crew", [], 50);
  const token = async (submitter: string) => (await own.tokens.taskToken(attempt, submitter)).reveal();
  expect(decodeJwt(await token("user-of-crew"))).toMatchObject({ groups: ["crew"] });
  const listed = async (submitter: string) => {
    const entrance = { kind: "sandbox", attempt: () => attempt } as const;
    const task = await own.authenticator.authenticate(`Bearer ${await token(submitter)}`, entrance);
    return decide(task, "run.read", { org, ...place }, own.policy.bundle).kind;
  };
  expect(await listed("user-of-crew")).toBe("allowed");
  expect(await listed("user-of-nothing")).toBe("denied");
  const afterRestart = new SubjectGroups(org, database, own.sealing);
  await afterRestart.load();
  expect(afterRestart.of("user-of-crew")).toEqual(["crew", "everybody"]);
  await own.groups.note("user-of-crew", [], 200);
  expect(await listed("user-of-crew")).toBe("denied");
});

describe("the last administrator", () => {
  test("can't be taken the role, deleted or kept out; of two at once one remains", async () => {
    const { assignments } = await policies().listAssignments({ limit: 1_000 });
    const isAdmin = (one: wire.Assignment) => one.role === "Admin" && one.principal.value === admin.id;
    const last = assignments.find(isAdmin)!;
    expect(await outcomeOf(policies().deleteAssignment({ id: last.id }))).toBe("last_administrator");
    expect(await outcomeOf(keys().deleteApiKey({ id: admin.id }))).toBe("last_administrator");
    // The control: with a second one it goes.
    const second = await program("Admin");
    const own = (await policies().listAssignments({ limit: 1_000 })).assignments.find(
      (one) => one.principal.value === second.id,
    )!;
    const both = [own, last].map(({ id }) => outcomeOf(policies().deleteAssignment({ id })));
    expect((await Promise.all(both)).sort()).toEqual(["last_administrator", "ok"].sort());
    const left = plane.stores.identity.policy.bundle!.assignments.filter(({ role }) => role === "Admin");
    expect(left).toHaveLength(1);
  });
});
