import { rpcTable } from "@biplane/classification";
import { matrixPlace, matrixRoles, matrixScopes, operator } from "@biplane/verify/policy/matrix-subjects";
import {
  askedOf,
  decisionOn,
  fieldsFor,
  routerDecision,
  routerExpectation,
} from "@biplane/verify/policy/router-matrix";
import { routerMethods } from "@biplane/verify/requests/call-method";
import { create } from "@bufbuild/protobuf";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startTestPlane, type TestPlane, testOrg } from "../plane.testing.ts";

let plane: TestPlane;
beforeAll(async () => {
  plane = await startTestPlane();
  await plane.stores.identity.rules.createRole(operator.name, operator.permissions);
});
afterAll(() => plane?.close());

describe.each(matrixRoles)("a program that is %s", (role) => {
  test.each(Object.keys(matrixScopes))(
    "in %s may call what that permits and nothing else; each call is on record (claims IAM-2, AUD-1)",
    async (name) => {
      const scope = matrixScopes[name]!;
      const client = await plane.client(role, scope);
      const transport = plane.transport(client.token);
      const decided: Record<string, string> = {};
      const expected: Record<string, string> = {};
      const subject = { org: testOrg, id: client.id, role, scope };
      for (const method of routerMethods) expected[method.name] = routerExpectation(subject, method);
      await atOnce(8, routerMethods, async (method) => {
        decided[method.name] = await routerDecision(transport, method, testOrg);
      });
      expect(decided).toEqual(expected);
      const records = (await plane.audit()).filter(({ subject }) => subject === client.id);
      const rpcs = records.filter(({ method }) => method in rpcTable);
      const named = routerMethods.filter((method) => rpcTable[method.name]!.permission !== "anonymous");
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
  for (const method of routerMethods) {
    const { permission } = rpcTable[method.name]!;
    if (permission === "anonymous" || permission.startsWith("children.")) continue;
    const answers = matrixRoles.flatMap((role) =>
      Object.values(matrixScopes).map((scope) =>
        routerExpectation({ org: testOrg, id: "x", role, scope }, method),
      ),
    );
    expect(answers, method.name).toContain("allowed");
    if (askedOf(testOrg, method).project !== undefined) expect(answers, method.name).toContain("denied");
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
  const carrying = routerMethods.filter(
    (method) => JSON.stringify(fieldsFor(method, "x")) !== JSON.stringify(fieldsFor(method, "y")),
  );
  expect(carrying.length).toBeGreaterThan(25);
  for (const method of carrying) {
    expect(await routerDecision(transport, method, "other"), method.name).toBe("hidden");
  }
});

test("a role in one project-domain holds there and nowhere else (claim IAM-2)", async () => {
  const scope = matrixPlace;
  const client = await plane.client("Contributor", scope);
  const transport = plane.transport(client.token);
  const method = routerMethods.find(({ name }) => name.endsWith("/CreateUploadLocation"))!;
  const at = (place: object) => decisionOn(transport, method.desc, create(method.desc.input, place as never));
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
  for (const method of routerMethods) {
    if (rpcTable[method.name]!.permission === "anonymous") continue;
    expect(await routerDecision(transport, method, testOrg), method.name).toBe("denied");
  }
});
