/** Watches that are open when somebody is shut out: they end then, and others go on (claim IAM-1). */
import { rpcTable } from "@biplane/classification";
import { flyte, identity, policy } from "@biplane/data-wire";
import { eventually } from "@biplane/verify/frame/eventually";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startTestPlane, type TestClient, type TestPlane, testOrg } from "../plane.testing.ts";
import type { Call } from "./call.ts";
import { whileAllowed } from "./lasting.ts";

const place = { project: "flights", domain: "development" };
const method = "flyteidl2.workflow.RunService/WatchRuns";
const settled = { withinMs: 30_000 };

let plane: TestPlane;
let admin: TestClient;
beforeAll(async () => {
  plane = await startTestPlane();
  admin = await plane.client("Admin");
  await createClient(flyte.project.ProjectService, plane.transport(admin.token)).createProject({
    project: { id: place.project, name: "Flights", org: testOrg },
  });
});
afterAll(() => plane?.close());

interface Watch {
  /** What it ended with; undefined while it goes on. */
  readonly end: () => Code | undefined;
  stop(): void;
}

/** Resolves once the router has let it in. */
async function watch({ id, token }: TestClient): Promise<Watch> {
  const stopping = new AbortController();
  let end: Code | undefined;
  const runs = createClient(flyte.workflow.RunService, plane.transport(token));
  const value = { organization: testOrg, name: place.project, domain: place.domain };
  const listen = async () => {
    const target = { case: "projectId", value } as const;
    for await (const _ of runs.watchRuns({ target }, { signal: stopping.signal }));
  };
  listen().then(
    () => (end = Code.Unknown),
    (error: unknown) => (end = ConnectError.from(error).code),
  );
  await eventually(
    () => plane.audit(),
    (records) => records.some((one) => one.subject === id && one.method === method),
    { ...settled, what: "The watch being let in" },
  );
  return { end: () => end, stop: () => stopping.abort() };
}

const ended = ({ end }: Watch) =>
  eventually(
    async () => end(),
    (code) => code !== undefined,
    { ...settled, what: "The watch ending" },
  );

test("a watch ends with the credentials that it was begun with, and with the role; others go on", async () => {
  const [revoked, demoted, other] = [
    await plane.client("Viewer"),
    await plane.client("Viewer", place),
    await plane.client("Viewer"),
  ];
  const watches = { revoked: await watch(revoked), demoted: await watch(demoted), other: await watch(other) };
  const administrator = plane.transport(admin.token);
  await createClient(identity.ApiKeyService, administrator).deleteApiKey({ id: revoked.id });
  expect(await ended(watches.revoked)).toBe(Code.Unauthenticated);
  expect(watches.demoted.end()).toBeUndefined();
  const policies = createClient(policy.PolicyService, administrator);
  const { assignments } = await policies.listAssignments({ limit: 1_000 });
  await policies.deleteAssignment({
    id: assignments.find(({ principal }) => principal.value === demoted.id)!.id,
  });
  expect(await ended(watches.demoted)).toBe(Code.PermissionDenied);
  // The control: the policy has changed twice, and said nothing of this one.
  expect(watches.other.end()).toBeUndefined();
  watches.other.stop();
  const told = (await plane.audit()).filter((one) => one.method === method);
  const decisions = (id: string) =>
    told.filter(({ subject }) => subject === id).map(({ decision }) => decision);
  expect(decisions(revoked.id)).toEqual(["allowed", "unauthenticated"]);
  expect(decisions(demoted.id)).toEqual(["allowed", "denied"]);
  expect(decisions(other.id)).toEqual(["allowed"]);
});

/** A watch that the router has let in; it begins when the first message is asked for. */
async function letIn({ token }: TestClient): Promise<AsyncGenerator<string>> {
  const entrance = { kind: "public", address: "" } as const;
  const principal = await plane.stores.identity.authenticator.authenticate(`Bearer ${token}`, entrance);
  const call: Call = {
    ...{ method, row: rpcTable[method]!, org: principal.org, principal, entrance },
    ...{ requestId: "r", clientRequestId: undefined, address: "", resource: { org: testOrg, ...place } },
  };
  const audit = { decided: async () => {}, refused: async () => {} };
  return whileAllowed({ policy: plane.stores.identity.policy, audit }, call, endless());
}

async function* endless(): AsyncGenerator<string> {
  yield "news";
  await new Promise(() => {});
}

test("a watch that was let in just before its credentials ended says nothing (claim IAM-1)", async () => {
  const [revoked, other] = [await plane.client("Viewer"), await plane.client("Viewer")];
  const watches = { revoked: await letIn(revoked), other: await letIn(other) };
  const keys = createClient(identity.ApiKeyService, plane.transport(admin.token));
  await keys.deleteApiKey({ id: revoked.id });
  await expect(watches.revoked.next()).rejects.toMatchObject({ code: "unauthenticated" });
  // The control: the policy has changed, and said nothing of this one.
  expect(await watches.other.next()).toMatchObject({ value: "news" });
  await watches.other.return(undefined);
});
