import { createHash } from "node:crypto";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type AttemptId, parseActionName } from "@biplane/base";
import { Phase } from "@biplane/control-wire";
import { children, flyte } from "@biplane/data-wire";
import { createClientTransport } from "@biplane/kit/connect-client";
import { objectUri, outputsKey, runPrefix, traceOutputsKey } from "@biplane/layout";
import { create, toBinary } from "@bufbuild/protobuf";
import { Code, type ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startTestPlane, type TestClient, type TestPlane, testOrg } from "../plane.testing.ts";
import type { Lease } from "../runs/types.ts";

const spec = toBinary(
  flyte.task.TaskSpecSchema,
  create(flyte.task.TaskSpecSchema, {
    taskTemplate: { id: { name: "child", version: "v1" }, type: "typescript" },
  }),
);
const digest = createHash("sha256").update(spec).digest();
let plane: TestPlane;
let admin: TestClient;
/** The root action of a run, leased as an executor would. */
let parent: Lease;
let sandbox: Transport;

beforeAll(async () => {
  plane = await startTestPlane();
  admin = await plane.client("Admin");
  const outside = plane.transport(admin.token);
  await createClient(flyte.project.ProjectService, outside).createProject({
    project: { id: "flights", name: "Flights" },
  });
  await createClient(flyte.workflow.RunService, outside).createRun({
    id: { case: "projectId", value: { name: "flights", domain: "development" } },
    task: { case: "taskSpec", value: { taskTemplate: { id: { name: "parent", version: "v1" } } } },
  });
  parent = await lease();
  sandbox = await enter(parent);
});
afterAll(() => plane?.close());

async function lease(): Promise<Lease> {
  const leased = await plane.stores.runs.queue.lease(AbortSignal.timeout(20_000));
  expect(leased).toBeDefined();
  return leased!;
}

/** A client inside the attempt's sandbox, with the attempt's token. */
async function enter(attempt: AttemptId): Promise<Transport> {
  const path = join(await mkdtemp(join(tmpdir(), "sandbox-")), "router.sock");
  await plane.routing.router.openSandbox(path, () => attempt);
  const token = (await plane.stores.identity.tokens.taskToken(attempt, admin.id)).reveal();
  return createClientTransport({
    baseUrl: plane.config.addresses.router,
    tls: { authorityPem: plane.rootPem },
    socketPath: path,
    interceptors: [
      (next) => (request) => {
        request.header.set("authorization", `Bearer ${token}`);
        return next(request);
      },
    ],
  });
}

function ownRun() {
  return { org: "", project: parent.project, domain: parent.domain, name: parent.run };
}

async function codeOf(work: Promise<unknown>): Promise<Code | "ok"> {
  return work.then(
    () => "ok" as const,
    (error: ConnectError) => error.code,
  );
}

describe("a task's sub-actions", () => {
  const child = (name: string) => ({ name, taskSpecDigest: digest, inputs: inline("x") });
  const inline = (text: string) => ({ case: "inline", value: Buffer.from(text) }) as const;

  test("are enqueued once, executed, and reported with small outputs inline", async () => {
    const client = createClient(children.ChildrenService, sandbox);
    const request = { run: ownRun(), parent: "a0", children: [child("c1")], taskSpecs: [spec] };
    await client.enqueue(request);
    await client.enqueue(request);
    const leased = await lease();
    expect(leased).toMatchObject({ action: "c1", attempt: 1 });
    const phases: Phase[] = [];
    let sawEnd = false;
    for await (const message of client.watch({ run: ownRun(), parent: "a0" })) {
      for (const update of message.updates) {
        phases.push(update.phase);
        if (update.phase === Phase.SUCCEEDED)
          expect(update.result).toEqual({ case: "outputs", value: outputs });
      }
      if (phases.at(-1) === Phase.SUCCEEDED) break;
      if (!message.snapshotEnd) continue;
      sawEnd = true;
      await plane.stores.objects.store.put(outputsKey(leased), outputs);
      await plane.stores.runs.queue.finish(leased, { kind: "succeeded", hasReport: false });
    }
    expect(sawEnd).toBe(true);
    expect(phases).toEqual([Phase.RUNNING, Phase.SUCCEEDED]);
  });
  const outputs = new Uint8Array(Buffer.from("\n\u0004\n\u0002o0"));

  test("reach stock runtimes as Flyte's updates, the sentinel after the snapshot", async () => {
    const client = createClient(flyte.actions.ActionsService, sandbox);
    const filter = { case: "parentActionId", value: { run: ownRun(), name: "a0" } } as const;
    const seen: string[] = [];
    for await (const { message } of client.watchForUpdates({ filter })) {
      seen.push(message.case === "actionUpdate" ? message.value.actionId!.name : message.case!);
      if (message.case === "actionUpdate") expect(message.value.outputUri).toMatch(/\/c1\/1\/$/);
      if (message.case === "controlMessage") break;
    }
    expect(seen).toEqual(["c1", "controlMessage"]);
  });

  test("need a specification that was sent, and come in bounded batches", async () => {
    const client = createClient(children.ChildrenService, sandbox);
    const unknown = { ...child("c2"), taskSpecDigest: createHash("sha256").update("no").digest() };
    const at = { run: ownRun(), parent: "a0" };
    expect(await codeOf(client.enqueue({ ...at, children: [unknown] }))).toBe(Code.FailedPrecondition);
    const many = Array.from({ length: 1_001 }, (_, index) => child(`m${index}`));
    expect(await codeOf(client.enqueue({ ...at, children: many }))).toBe(Code.InvalidArgument);
    expect(await codeOf(client.enqueue({ ...at, children: [] }))).toBe(Code.InvalidArgument);
  });

  test("can't be another run's or another action's, nor read other runs' inputs (claim IAM-4)", async () => {
    const client = createClient(children.ChildrenService, sandbox);
    const request = { run: ownRun(), parent: "a0", children: [child("c3")] };
    const otherRun = { ...ownRun(), name: "rother" };
    expect(await codeOf(client.enqueue({ ...request, run: otherRun }))).toBe(Code.PermissionDenied);
    expect(await codeOf(client.enqueue({ ...request, parent: "c1" }))).toBe(Code.PermissionDenied);
    const foreign = objectUri("biplane", runPrefix({ ...parent, run: "rother" as never }));
    const inputs = { case: "uri", value: `${foreign}a0/inputs.pb` } as const;
    const reading = { ...request, children: [{ ...child("c4"), inputs }] };
    expect(await codeOf(client.enqueue(reading))).toBe(Code.PermissionDenied);
  });

  test("include steps once their results are on disk: one that a crash kept from it is run again", async () => {
    const client = createClient(children.ChildrenService, sandbox);
    const at = { run: ownRun(), parent: "a0" };
    const step = { name: "s1", functionName: "read", result: { case: "outputs", value: outputs } as const };
    const told = async () => {
      const updates: children.ChildUpdate[] = [];
      for await (const message of client.watch(at)) {
        updates.push(...message.updates.filter(({ name }) => name === "s1"));
        if (message.snapshotEnd) break;
      }
      return updates.map(({ phase, result }) => [phase, result]);
    };
    const recorded = [[Phase.SUCCEEDED, { case: "outputs", value: outputs }]];
    await client.recordTraces({ ...at, traces: [step] });
    expect(await told()).toEqual(recorded);
    await plane.stores.objects.store.delete(traceOutputsKey({ ...parent, action: parseActionName("s1") }));
    expect(await told()).toEqual([]);
    await client.recordTraces({ ...at, traces: [step] });
    expect(await told()).toEqual(recorded);
  });

  test("are no business of people and programs outside", async () => {
    const client = createClient(children.ChildrenService, plane.transport(admin.token));
    const request = { run: ownRun(), parent: "a0", children: [child("c5")], taskSpecs: [spec] };
    expect(await codeOf(client.enqueue(request))).toBe(Code.PermissionDenied);
  });
});

describe("a task", () => {
  test("submits runs in its own project-domain for its submitter, and that is on record (claim IAM-4)", async () => {
    const runs = createClient(flyte.workflow.RunService, sandbox);
    const task = {
      case: "taskSpec",
      value: { taskTemplate: { id: { name: "nested", version: "v1" } } },
    } as const;
    const at = (domain: string) => ({ case: "projectId", value: { name: "flights", domain } }) as const;
    const { run } = await runs.createRun({ id: at("development"), task });
    expect(run!.action!.metadata!.executedBy!.principal.value!.id!.subject).toBe(admin.id);
    const record = (await plane.audit()).findLast(({ code }) => code === "RUN_CREATED")!;
    expect(record).toMatchObject({ actingFor: admin.id, addressFrom: "sandbox", decision: "allowed" });
    expect(record.subject).toBe(`task:flights/development/${parent.run}/a0/1`);
    expect(await codeOf(runs.createRun({ id: at("production"), task }))).toBe(Code.PermissionDenied);
  });

  test("does not create projects, whoever submitted it", async () => {
    const projects = createClient(flyte.project.ProjectService, sandbox);
    const project = { id: "mine", name: "Mine", org: testOrg };
    expect(await codeOf(projects.createProject({ project }))).toBe(Code.PermissionDenied);
  });
});
