import { connect as connectHttp2 } from "node:http2";
import { request } from "node:https";
import { flyte, records } from "@biplane/data-wire";
import { Code, type ConnectError, createClient } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startTestPlane, type TestClient, type TestPlane, testOrg } from "../plane.testing.ts";

let plane: TestPlane;
let admin: TestClient;
beforeAll(async () => {
  plane = await startTestPlane();
  admin = await plane.client("Admin");
});
afterAll(() => plane?.close());

async function codeOf(work: Promise<unknown>): Promise<Code | "ok"> {
  return work.then(
    () => "ok" as const,
    (error: ConnectError) => error.code,
  );
}

describe("before the body", () => {
  test("a foreign authority is answered 421, over both versions of HTTP", async () => {
    expect(await statusOverHttp1({ host: "evil.example" })).toBe(421);
    expect(await statusOverHttp2("evil.example")).toBe(421);
    const { host } = new URL(plane.config.addresses.router);
    expect(await statusOverHttp1({ host })).toBe(401);
    expect(await statusOverHttp2(host)).toBe(401);
  });

  test("a body that is too large is refused by its announcement, before anyone is authenticated", async () => {
    const { host } = new URL(plane.config.addresses.router);
    expect(await statusOverHttp1({ host, "content-length": String(25 * 1024 * 1024) })).toBe(400);
  });

  test("a method that nobody serves is unimplemented", async () => {
    const { host } = new URL(plane.config.addresses.router);
    expect(await statusOverHttp1({ host }, "/flyteidl2.secret.SecretService/GetSecret")).toBe(501);
    expect(await statusOverHttp1({ host }, "/biplane.control.v1.IndexService/ListRuns")).toBe(501);
  });

  test("a method asked for by GET, as workers rehearse it, is not answered and not on record", async () => {
    const { host } = new URL(plane.config.addresses.router);
    const recorded = (await plane.audit()).length;
    const path = "/biplane.data.v1.ChildrenService/RecordTraces?connect=v1&encoding=proto&message=";
    expect(await statusOverHttp1({ host }, path, "GET")).toBe(404);
    expect((await plane.audit()).length).toBe(recorded);
    expect(await statusOverHttp1({ host }, path.split("?")[0])).not.toBe(404);
  });

  test("health needs no token", async () => {
    const { host } = new URL(plane.config.addresses.router);
    expect(await statusOverHttp1({ host }, "/healthz", "GET")).toBe(200);
  });
});

describe("organizations", () => {
  test("another one's things are not found (claim ISO-1)", async () => {
    const runs = createClient(flyte.workflow.RunService, plane.transport(admin.token));
    const runId = { org: "other", project: "flights", domain: "development", name: "r1" };
    expect(await codeOf(runs.getRunDetails({ runId }))).toBe(Code.NotFound);
    const client = createClient(records.ControlPlaneRecordsService, plane.transport(admin.token));
    expect(await codeOf(client.getRun({ run: runId }))).toBe(Code.NotFound);
  });

  test("an empty one is the caller's own", async () => {
    const projects = createClient(flyte.project.ProjectService, plane.transport(admin.token));
    await projects.createProject({ project: { id: "defaulted", name: "Defaulted" } });
    const { project } = await projects.getProject({ id: "defaulted" });
    expect(project).toMatchObject({ org: testOrg, id: "defaulted" });
  });
});

function statusOverHttp1(
  headers: Record<string, string>,
  path = "/flyteidl2.auth.IdentityService/UserInfo",
  method = "POST",
): Promise<number> {
  return new Promise((resolve, reject) => {
    const url = new URL(path, plane.config.addresses.router);
    const all = { "content-type": "application/proto", ...headers };
    const options = { method, headers: all, ca: plane.rootPem, servername: "localhost" };
    const outgoing = request(url, options, (response) => {
      response.resume();
      resolve(response.statusCode!);
      outgoing.destroy();
    });
    outgoing.on("error", reject);
    if ("content-length" in headers) outgoing.flushHeaders();
    else outgoing.end();
  });
}

function statusOverHttp2(authority: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const session = connectHttp2(plane.config.addresses.router, { ca: plane.rootPem });
    session.on("error", reject);
    const stream = session.request({
      ":method": "POST",
      ":authority": authority,
      ":path": "/flyteidl2.auth.IdentityService/UserInfo",
      "content-type": "application/proto",
    });
    stream.on("response", (headers) => {
      resolve(Number(headers[":status"]));
      session.destroy();
    });
    stream.end();
  });
}

test("what strangers may send is small: an anonymous request with a body is refused", async () => {
  const { host } = new URL(plane.config.addresses.router);
  const path = "/flyteidl2.auth.AuthMetadataService/GetPublicClientConfig";
  expect(await postBytes(path, host, 0)).toBe(200);
  expect(await postBytes(path, host, 100_000)).toBe(429);
});

function postBytes(path: string, host: string, bytes: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const headers = { "content-type": "application/proto", host };
    const url = new URL(path, plane.config.addresses.router);
    const outgoing = request(url, { method: "POST", headers, ca: plane.rootPem }, (response) => {
      response.resume();
      resolve(response.statusCode!);
    });
    outgoing.on("error", reject);
    outgoing.end(Buffer.alloc(bytes));
  });
}
