/**
 * Every method of both planes, called by programs of three roles and by a stranger (claim AUD-1): there are as many audit
 * records as requests, refused ones included, and each has all its fields.
 */
import { request } from "node:https";
import type { AuditRecord } from "@biplane/audit";
import { rpcTable } from "@biplane/classification";
import { IndexService } from "@biplane/control-wire";
import type { RoleName } from "@biplane/identity";
import { createClientTransport } from "@biplane/kit";
import { eventually } from "@biplane/verify/frame/eventually";
import { callMethod } from "@biplane/verify/requests/call-method";
import { fillRequest } from "@biplane/verify/requests/fill-request";
import {
  callIndexMethods,
  callRouterMethods,
  missingIn,
  problemsAtControlPlane,
  problemsAtRouter,
  recordsOf,
} from "@biplane/verify/requests/recorded-calls";
import type { DescMethod } from "@bufbuild/protobuf";
import type { Transport } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Enrollment, readEnrollment } from "../../planes/data/link/index.ts";
import { startTestPlane, type TestClient, type TestPlane, testOrg } from "../../planes/data/plane.testing.ts";
import { startTestControlPlane, type TestControlPlane } from "../support/control-plane.ts";
import { describeOnBothDatabases } from "../support/postgres.ts";

const roles: readonly RoleName[] = ["Admin", "Contributor", "Viewer"];
const place = { org: testOrg, project: "flights", domain: "development", run: "r1", cluster: "paris" };
const names = { ...place, task: "t", version: "v1", user: "nobody", key: "none" };

const unreadMethod = "flyteidl2.workflow.RunService/GetRunDetails";

describeOnBothDatabases("every request is on record", (fresh) => {
  let control: TestControlPlane;
  let plane: TestPlane;
  let enrollment: Enrollment;
  const clients = new Map<RoleName, TestClient>();

  beforeAll(async () => {
    control = await startTestControlPlane(await fresh());
    plane = await startTestPlane({
      control,
      databaseUrl: (await fresh()).url,
      prepare: async (paths) => {
        enrollment = (await readEnrollment(paths.link))!;
      },
    });
    for (const role of roles) clients.set(role, await plane.client(role));
  });
  afterAll(async () => {
    await plane?.close();
    await control?.close();
  });

  /** Of a watch that its client left early the record may come after that. */
  const untilRecorded = async (problemsIn: (records: readonly AuditRecord[]) => string[]) => {
    const problems = async () => problemsIn(await plane.audit());
    const isNone = (found: readonly string[]) => found.length === 0;
    await eventually(problems, isNone, { withinMs: 10_000, what: "One fit record for each request" });
    return plane.audit();
  };

  test.each(roles)("at the router, called by %s", async (role) => {
    const { id, token } = clients.get(role)!;
    const called = await callRouterMethods(plane.transport(token), names);
    const records = await untilRecorded((all) => problemsAtRouter(called, all, id));
    const refused = recordsOf(called, records).filter(({ decision }) => decision !== "allowed");
    expect(refused.length, "control: some of them were refused").toBeGreaterThan(3);
    expect(problemsAtRouter(called, records, "nobody").length, "control: somebody else's").toBeGreaterThan(3);
  });

  test("at the router, called by a stranger: refused ones are on record as well", async () => {
    const called = await callRouterMethods(plane.transport("no token"), names);
    await untilRecorded((all) => problemsAtRouter(called, all, ""));
  });

  const routerRecords = async () => (await plane.audit()).filter(({ method }) => method in rpcTable);

  test.each([
    ["no JSON", "application/json", "{"],
    ["no protobuf", "application/proto", "\u0007\u0007\u0007"],
    ["a form that nobody speaks", "text/plain", "hello"],
  ])("at the router, with %s in it: it can't be read, and is on record", async (_, type, body) => {
    const before = (await routerRecords()).length;
    const { id, token } = clients.get("Admin")!;
    const url = `${plane.config.addresses.router}/${unreadMethod}`;
    const status = await post(url, type, body, token, { ca: plane.rootPem });
    expect(status).toBeGreaterThanOrEqual(400);
    const records = await eventually(
      async () => (await routerRecords()).slice(before),
      (found) => found.length > 0,
      { withinMs: 5_000, what: "The record" },
    );
    expect(records).toMatchObject([
      { method: unreadMethod, decision: "refused", reason: "unreadable", subject: id },
    ]);
    expect(missingIn(records[0]!)).toEqual([]);
  });

  function post(url: string, type: string, body: string, token: string, tls: object): Promise<number> {
    return new Promise((resolve, reject) => {
      const headers = { "content-type": type, authorization: `Bearer ${token}` };
      const call = request(url, { method: "POST", headers, ...tls }, (response) => {
        response.resume().once("end", () => resolve(response.statusCode ?? 0));
      });
      call.once("error", reject);
      call.end(body);
    });
  }

  /** To the index, in the name of a program of this organization. */
  async function index(token: string): Promise<Transport> {
    const { authenticator, tokens } = plane.stores.identity;
    const principal = await authenticator.authenticate(`Bearer ${token}`, { kind: "public", address: "" });
    const shown = await tokens.controlToken(principal);
    return indexWith(shown.reveal());
  }
  const indexWith = (token: string): Transport =>
    createClientTransport({
      baseUrl: `https://${enrollment.linkAddress}`,
      tls: { authorityPem: enrollment.providerRootPem, identity: enrollment.identity },
      interceptors: [
        (next) => (request) => {
          request.header.set("authorization", `Bearer ${token}`);
          return next(request);
        },
      ],
    });

  async function indexRecords(): Promise<AuditRecord[]> {
    const found: AuditRecord[] = [];
    for await (const record of (await control.state.audit.of(testOrg)).readRecords()) found.push(record);
    return found.filter(({ method }) => method.startsWith(`${IndexService.typeName}/`));
  }

  test.each(roles)("at the control plane, called by %s", async (role) => {
    const { id, token } = clients.get(role)!;
    const called = await callIndexMethods(await index(token), names);
    const records = await indexRecords();
    expect(problemsAtControlPlane(called, records, id, "home")).toEqual([]);
    const denied = recordsOf(called, records).filter(({ decision }) => decision === "denied");
    expect(denied.length > 0, "control: an administrator is denied nothing, others are").toBe(
      role !== "Admin",
    );
  });

  test("at the control plane, with a token that is good for nothing", async () => {
    const called = await callIndexMethods(indexWith("no token"), names);
    expect(problemsAtControlPlane(called, await indexRecords(), "", "home")).toEqual([]);
  });

  test.each([
    ["no protobuf", "application/proto", "\u0007\u0007\u0007"],
    ["a form that nobody speaks", "application/json", "{}"],
  ])("at the control plane, with %s in it: it can't be read, and is on record", async (_, type, body) => {
    const before = (await indexRecords()).length;
    const { identity, linkAddress, providerRootPem: ca } = enrollment;
    const { certificatePem: cert, privateKeyPem: key } = identity;
    const url = `https://${linkAddress}/${IndexService.typeName}/ListProjects`;
    expect(await post(url, type, body, "none", { ca, cert, key })).toBeGreaterThanOrEqual(400);
    const found = await eventually(
      async () => (await indexRecords()).slice(before),
      (records) => records.length > 0,
      { withinMs: 5_000, what: "The record" },
    );
    expect(found).toMatchObject([
      { decision: "refused", reason: "unreadable", cluster: "home", subject: "" },
    ]);
    expect(missingIn(found[0]!)).toEqual([]);
  });

  describe("what can't be recorded", () => {
    test("does not happen at the control plane either: no project is made", async () => {
      const transport = await index(clients.get("Admin")!.token);
      const log = await control.state.audit.of(testOrg);
      const record = log.record.bind(log);
      log.record = async () => {
        throw new Error("The disk is full.");
      };
      const desc = IndexService.method.createProject as DescMethod;
      const request = fillRequest(desc.input, { ...names, project: "unrecorded" });
      const refused = await callMethod(transport, desc, request);
      log.record = record;
      expect(refused.code).not.toBe("answered");
      const read = fillRequest(IndexService.method.getProject.input, { ...names, project: "unrecorded" });
      const found = await callMethod(transport, IndexService.method.getProject as DescMethod, read);
      expect(found.text).toMatch(/no such project/);
      expect(found.code).not.toBe("answered");
      expect((await callMethod(transport, desc, request)).code, "control").toBe("answered");
    });
  });
});
