/** Administrators and people: invitations, passwords, keys; whoever is kept out is out at once (claim IAM-1). */
import { flyte, identity } from "@biplane/data-wire";
import { Browser, fetchPage } from "@biplane/verify/sign-in/browser";
import { Person } from "@biplane/verify/sign-in/person";
import { Code, type ConnectError, createClient } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { requestToken, startTestPlane, type TestClient, type TestPlane } from "../plane.testing.ts";

const password = "correct horse battery";
let plane: TestPlane;
let admin: TestClient;

beforeAll(async () => {
  plane = await startTestPlane();
  admin = await plane.client("Admin");
});
afterAll(() => plane?.close());

const users = () => createClient(identity.UserService, plane.transport(admin.token));
const keys = () => createClient(identity.ApiKeyService, plane.transport(admin.token));

const authority = () => ({ authority: plane.config.addresses.authority, rootPem: plane.rootPem });

function whoAmI(token: string) {
  return createClient(flyte.auth.IdentityService, plane.transport(token)).userInfo({});
}

function codeOf(work: Promise<unknown>): Promise<Code | "ok"> {
  return work.then(
    () => "ok" as const,
    (error: ConnectError) => error.code,
  );
}

function postForm(path: string, form: Record<string, string>) {
  const headers = { "content-type": "application/x-www-form-urlencoded" };
  const url = `${plane.config.addresses.authority}${path}`;
  return fetchPage(plane.rootPem, "POST", url, headers, new URLSearchParams(form).toString());
}

/** Signs in at the router's own pages, as a person's browser does; the page names the person. */
async function signInStatus(email: string, secret: string): Promise<number> {
  const { router, authority } = plane.config.addresses;
  const browser = new Browser(plane.rootPem, [router, authority]);
  const start = await browser.open(`${router}/v2/domain/development/project/flights/runs/r1`);
  return (await browser.signIn(start, email, secret)).status;
}
/** The run does not exist, but whoever asks is known. */
const signedIn = 404;
const wrongPassword = 401;

async function invited(email: string): Promise<{ subject: string; code: string }> {
  const { user, invitation } = await users().createUser({ email, name: "Bob", role: "Viewer" });
  return { subject: user!.subject, code: invitation!.code };
}

async function person(email: string): Promise<string> {
  const { subject, code } = await invited(email);
  expect((await postForm("/invitation", { code, new_password: password })).status).toBe(200);
  return subject;
}

describe("people", () => {
  test("choose their own password by an invitation that works once", async () => {
    const { subject, code } = await invited("bob@example.com");
    const before = await users().getUser({ user: subject });
    expect(before.user?.state).toBe(identity.UserState.INVITED);
    expect(await signInStatus("bob@example.com", "")).toBe(wrongPassword);
    expect((await postForm("/invitation", { code: "wrong", new_password: password })).status).toBe(403);
    expect((await postForm("/invitation", { code, new_password: "short" })).status).toBe(400);
    expect((await postForm("/invitation", { code, new_password: password })).status).toBe(200);
    expect((await postForm("/invitation", { code, new_password: password })).status).toBe(403);
    expect(await signInStatus("bob@example.com", password)).toBe(signedIn);
    const after = await users().getUser({ user: "bob@example.com" });
    expect(after.user?.state).toBe(identity.UserState.ACTIVE);
  });

  test("who sign in right after their tokens were denied have one that works", async () => {
    const person = await Person.invite(
      authority(),
      plane.transport(admin.token),
      "now@example.com",
      "Viewer",
    );
    // In the second of the invitation's own denial, as likely as not; so is the next one.
    const before = await person.signIn();
    expect(await codeOf(whoAmI(before))).toBe("ok");
    await users().revokeUser({ user: person.subject });
    expect(await codeOf(whoAmI(before))).toBe(Code.Unauthenticated);
    expect(await codeOf(whoAmI(await person.signIn()))).toBe("ok");
  });

  test("change their password by showing the present one; the old one is wrong then", async () => {
    await person("carol@example.com");
    const change = { email: "carol@example.com", new_password: "another horse battery" };
    expect((await postForm("/password", { ...change, password: "guessed guessed" })).status).toBe(401);
    expect(await signInStatus("carol@example.com", password)).toBe(signedIn);
    expect((await postForm("/password", { ...change, password })).status).toBe(200);
    expect(await signInStatus("carol@example.com", password)).toBe(wrongPassword);
    expect(await signInStatus("carol@example.com", change.new_password)).toBe(signedIn);
  });

  test("are kept out while disabled, and can come back", async () => {
    const subject = await person("dan@example.com");
    await users().disableUser({ user: subject });
    expect(await signInStatus("dan@example.com", password)).toBe(wrongPassword);
    await users().enableUser({ user: subject });
    expect(await signInStatus("dan@example.com", password)).toBe(signedIn);
  });

  test("are gone when deleted, with their roles", async () => {
    const subject = await person("eve@example.com");
    await users().deleteUser({ user: "eve@example.com" });
    expect(await signInStatus("eve@example.com", password)).toBe(wrongPassword);
    expect(await codeOf(users().getUser({ user: subject }))).toBe(Code.NotFound);
    const { assignments } = plane.stores.identity.policy.bundle!;
    expect(assignments.filter(({ principal }) => principal.id === subject)).toEqual([]);
  });

  test("are listed in pages", async () => {
    const first = await users().listUsers({ limit: 1 });
    expect(first.users).toHaveLength(1);
    const second = await users().listUsers({ limit: 1, token: first.token });
    expect(second.users[0]?.subject).not.toBe(first.users[0]?.subject);
  });

  test("can't share an e-mail address, in whatever case", async () => {
    await invited("frank@example.com");
    expect(await codeOf(users().createUser({ email: "Frank@Example.com" }))).toBe(Code.AlreadyExists);
  });
});

describe("keys", () => {
  test("have an owner, an end, a secret shown once, and a last use", async () => {
    const { key, secret } = await keys().createApiKey({ name: "nightly", role: "Viewer" });
    const token = await requestToken(plane.config.addresses.authority, plane.rootPem, key!.id, secret);
    expect((await whoAmI(token)).subject).toBe(key!.id);
    await plane.stores.identity.flushUses();
    const { key: read } = await keys().getApiKey({ id: key!.id });
    expect(read).toMatchObject({ name: "nightly", owner: admin.id });
    expect(read?.lastUsedAt).toBeDefined();
    expect(read?.expiresAt).toBeDefined();
    expect(JSON.stringify(await keys().listApiKeys({}), replacer)).not.toContain(secret);
    const rows = await plane.stores.database.kysely.selectFrom("identity_subjects").selectAll().execute();
    expect(JSON.stringify(rows, replacer)).not.toContain(secret);
  });

  test("stop working when deleted, also by tokens that are in date (claim IAM-1)", async () => {
    const { key, secret } = await keys().createApiKey({ name: "short-lived", role: "Viewer" });
    const revoked = async () =>
      (await plane.audit()).filter(({ reason }) => reason === "token_revoked").length;
    const before = await revoked();
    const authority = plane.config.addresses.authority;
    const token = await requestToken(authority, plane.rootPem, key!.id, secret);
    expect(await codeOf(whoAmI(token))).toBe("ok");
    await keys().deleteApiKey({ id: key!.id });
    expect(await codeOf(whoAmI(token))).toBe(Code.Unauthenticated);
    expect(await requestToken(authority, plane.rootPem, key!.id, secret)).toBeUndefined();
    expect(await revoked()).toBe(before + 1);
  });

  test("stop working with whoever answers for them, and work again with them", async () => {
    const owner = await person("gina@example.com");
    const { key, secret } = await keys().createApiKey({ name: "hers", owner, role: "Viewer" });
    const authority = plane.config.addresses.authority;
    const token = await requestToken(authority, plane.rootPem, key!.id, secret);
    await users().disableUser({ user: owner });
    expect(await codeOf(whoAmI(token))).toBe(Code.Unauthenticated);
    expect(await requestToken(authority, plane.rootPem, key!.id, secret)).toBeUndefined();
    await users().enableUser({ user: owner });
    expect(await requestToken(authority, plane.rootPem, key!.id, secret)).toBeDefined();
  });

  test("end within a year", async () => {
    const at = (ms: number) => ({ seconds: BigInt(Math.floor(ms / 1_000)), nanos: 0 });
    const year = 367 * 86_400_000;
    for (const expiresAt of [at(Date.now() - 1_000), at(Date.now() + year)]) {
      expect(await codeOf(keys().createApiKey({ name: "x", expiresAt }))).toBe(Code.InvalidArgument);
    }
  });
});

describe("names made to confuse", () => {
  const long = "a".repeat(10_000);
  const emails = ["a/b", "../x@y", "a..b@example.com", "a\u0000@example.com", "\u0430da@example.com", long];
  test.each(emails)("no user has the address %j", async (email) => {
    expect(await codeOf(users().createUser({ email }))).toBe(Code.InvalidArgument);
  });
  test.each(["a\u0000b", "a\u202eb", "a\nb", long])("no user has the name %j", async (name) => {
    const email = "named@example.com";
    expect(await codeOf(users().createUser({ email, name }))).toBe(Code.InvalidArgument);
  });
  test.each(["a/b", "..", "a..b", "a\u0000b", "n\u0456ghtly", "", long])(
    "no key has the name %j",
    async (name) => {
      expect(await codeOf(keys().createApiKey({ name }))).toBe(Code.InvalidArgument);
    },
  );
  test.each(["a/b", "..", "a\u0000b", "fl\u0456ghts", "Flights", long])("no project is %j", async (id) => {
    const projects = createClient(flyte.project.ProjectService, plane.transport(admin.token));
    expect(await codeOf(projects.createProject({ project: { id, name: "x" } }))).toBe(Code.InvalidArgument);
  });
  test("ordinary ones are taken (control)", async () => {
    const created = users().createUser({ email: "named@example.com", name: "Zoë 中村" });
    expect(await codeOf(created)).toBe("ok");
    expect(await codeOf(keys().createApiKey({ name: "nightly build 2" }))).toBe("ok");
  });
});

test("administrators can't take their own access away", async () => {
  const { key } = await keys().createApiKey({ name: "second", role: "Admin" });
  expect(key?.owner).toBe(admin.id);
  const subject = await person("hugo@example.com");
  const { people } = plane.stores.identity;
  await expect(people.setDisabled(subject, true, subject)).rejects.toMatchObject({
    code: "failed_precondition",
  });
});

function replacer(_key: string, value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString("latin1");
  return typeof value === "bigint" ? String(value) : value;
}
