/**
 * Every method of both planes, called by programs of three roles and by a stranger (claim AUD-1): there are as many audit
 * records as requests, refused ones included, and each has all its fields.
 */
import { createHash } from "node:crypto";
import { Agent, request } from "node:https";
import {
  DeleteObjectCommand,
  GetObjectAclCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from "@aws-sdk/client-s3";
import type { AuditRecord } from "@biplane/audit";
import { rpcTable } from "@biplane/classification";
import { IndexService } from "@biplane/control-wire";
import { flyte } from "@biplane/data-wire";
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
import { createClient, type Transport } from "@connectrpc/connect";
import { NodeHttpHandler } from "@smithy/node-http-handler";
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

  describe("at the object store", () => {
    const own = { ...{ subject: "task:flights/development/r1/a0/1" }, run: "r1" };
    const prefix = `${testOrg}/flights/development/r1/`;
    const bucketUrl = () => `${plane.config.addresses.objects}/${plane.stores.objects.store.bucket}`;
    const storeRecords = async () =>
      (await plane.audit()).filter(({ method }) => / object( by URL)?$/.test(method));

    function s3Client(): S3Client {
      const { accessKeyId, secretAccessKey, sessionToken } = plane.stores.objects
        .grants(plane.config.addresses.objects)
        .sessionCredentials({ ...own, readPrefixes: [prefix], writePrefixes: [prefix], lifetimeMs: 60_000 });
      return new S3Client({
        endpoint: plane.config.addresses.objects,
        region: "local",
        forcePathStyle: true,
        maxAttempts: 1,
        credentials: {
          accessKeyId,
          secretAccessKey: secretAccessKey.reveal(),
          sessionToken: sessionToken.reveal(),
        },
        requestHandler: new NodeHttpHandler({ httpsAgent: new Agent({ ca: plane.rootPem }) }),
      });
    }

    test("called by a task: what it may do and what it may not, each once, without the object's name", async () => {
      const before = (await storeRecords()).length;
      const client = s3Client();
      const Bucket = plane.stores.objects.store.bucket;
      const place = { Bucket, Key: `${prefix}a0/1/raw/secret-name` };
      const elsewhere = { Bucket, Key: `${testOrg}/flights/development/r2/a0/1/secret-name` };
      const calls: readonly [string, string, () => Promise<unknown>][] = [
        ["OBJECT_WRITTEN", "allowed", () => client.send(new PutObjectCommand({ ...place, Body: "content" }))],
        ["OBJECT_READ", "allowed", () => client.send(new HeadObjectCommand(place))],
        [
          "OBJECT_READ",
          "allowed",
          () => client.send(new HeadObjectCommand({ Bucket, Key: `${prefix}none` })),
        ],
        [
          "OBJECTS_LISTED",
          "allowed",
          () => client.send(new ListObjectsV2Command({ Bucket, Prefix: prefix })),
        ],
        ["OBJECT_STORE_READ", "allowed", () => client.send(new HeadBucketCommand({ Bucket }))],
        ["OBJECT_DELETED", "allowed", () => client.send(new DeleteObjectCommand(place))],
        ["OBJECT_REFUSED", "denied", () => client.send(new HeadObjectCommand(elsewhere))],
        ["OBJECT_REFUSED", "denied", () => client.send(new PutObjectCommand({ ...elsewhere, Body: "" }))],
        ["OBJECT_REFUSED", "refused", () => client.send(new GetObjectAclCommand(place))],
      ];
      for (const [, , call] of calls) await call().catch(() => undefined);
      client.destroy();
      const records = (await storeRecords()).slice(before);
      expect(records.map(({ code, decision }) => [code, decision])).toEqual(
        calls.map(([code, decision]) => [code, decision]),
      );
      for (const record of records) {
        expect([record.code, missingIn(record)]).toEqual([record.code, []]);
        expect(record).toMatchObject(own);
      }
      expect(JSON.stringify(records)).not.toContain("secret-name");
    });

    test("called with a URL, its use is on record as whose it is; without one, as a stranger's", async () => {
      const before = (await storeRecords()).length;
      const { id, token } = clients.get("Contributor")!;
      const content = Buffer.from("content");
      const location = await createClient(
        flyte.dataproxy.DataProxyService,
        plane.transport(token),
      ).createUploadLocation({
        ...{
          project: place.project,
          domain: place.domain,
          filename: "secret-name",
          filenameRoot: `d-${Date.now()}`,
        },
        contentMd5: createHash("md5").update(content).digest(),
      });
      const md5 = createHash("md5").update(content).digest("base64");
      expect(await send(location.signedUrl, "PUT", { "content-md5": md5 }, content)).toBe(200);
      expect(await send(location.signedUrl, "GET")).toBe(403);
      expect(await send(`${bucketUrl()}/${prefix}a`, "GET")).toBe(403);
      const records = (await storeRecords()).slice(before);
      const { project, domain } = place;
      expect(records).toMatchObject([
        {
          code: "OBJECT_WRITTEN",
          decision: "allowed",
          method: "PUT object by URL",
          subject: id,
          project,
          domain,
        },
        { code: "OBJECT_REFUSED", decision: "unauthenticated", method: "GET object", subject: "" },
        { code: "OBJECT_REFUSED", decision: "denied", method: "GET object", subject: "" },
      ]);
      expect(records.flatMap(missingIn)).toEqual([]);
      // Whoever gets hold of the URL does not learn whose it is.
      expect(location.signedUrl).not.toContain(id);
      expect(JSON.stringify(records)).not.toContain("secret-name");
    });

    function send(url: string, method: string, headers = {}, body = Buffer.alloc(0)): Promise<number> {
      return new Promise((resolve, reject) => {
        const length = { "content-length": body.length };
        const call = request(
          url,
          { method, headers: { ...headers, ...length }, ca: plane.rootPem },
          (response) => {
            response.resume().once("end", () => resolve(response.statusCode ?? 0));
          },
        );
        call.once("error", reject);
        call.end(body);
      });
    }
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
