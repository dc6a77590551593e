import { createHash, randomBytes, randomUUID } from "node:crypto";
import { request } from "node:https";
import { type ActionName, limits, type ProjectDomain } from "@biplane/base";
import { flyte, objects, progress, records } from "@biplane/data-wire";
import { codeBundlesPrefix, objectUri } from "@biplane/layout";
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { Code, type ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startTestPlane, type TestClient, type TestPlane, testOrg } from "../plane.testing.ts";

const scope = { org: testOrg, project: "flights", domain: "development" } as ProjectDomain;
const projectId = { organization: "", name: "flights", domain: "development" };
let plane: TestPlane;
let admin: TestClient;
let transport: Transport;

beforeAll(async () => {
  plane = await startTestPlane();
  admin = await plane.client("Admin");
  transport = plane.transport(admin.token);
  const projects = createClient(flyte.project.ProjectService, transport);
  await projects.createProject({ project: { id: "flights", name: "Flights", description: "All of them." } });
});
afterAll(() => plane?.close());

const runsOver = (over: Transport) => createClient(flyte.workflow.RunService, over);
const dataOver = (over: Transport) => createClient(flyte.dataproxy.DataProxyService, over);

async function errorOf(
  work: Promise<unknown>,
): Promise<{ code: Code; reason: string | null; message: string }> {
  const error = await work.then(
    () => expect.unreachable("It was not refused."),
    (thrown: ConnectError) => thrown,
  );
  return { code: error.code, reason: error.metadata.get("biplane-reason"), message: error.message };
}

describe("inputs", () => {
  /** Inputs whose message has exactly so many bytes. */
  function inputsOf(bytes: number): flyte.task.Inputs {
    const build = (length: number) =>
      create(flyte.task.InputsSchema, {
        literals: [{ name: "v", value: textLiteral("x".repeat(length)) }],
      });
    const sizeOf = (length: number) => toBinary(flyte.task.InputsSchema, build(length)).length;
    if (sizeOf(0) >= bytes) return build(0);
    const envelope = sizeOf(bytes) - bytes;
    return build(bytes - envelope);
  }

  test("of 10 MiB are taken, one byte more is refused with what to do instead (claim FLOW-4)", async () => {
    const exact = inputsOf(limits.inputBytesMax);
    expect(toBinary(flyte.task.InputsSchema, exact).length).toBe(limits.inputBytesMax);
    const id = { case: "projectId", value: projectId } as const;
    const stored = await dataOver(transport).uploadInputs({ id, inputs: exact });
    expect(stored.offloadedInputData!.inputsHash).not.toBe("");
    const more = inputsOf(limits.inputBytesMax + 1);
    const refused = await errorOf(dataOver(transport).uploadInputs({ id, inputs: more }));
    expect(refused).toMatchObject({ code: Code.InvalidArgument, reason: "inputs_too_large" });
    expect(refused.message).toContain("file");
  });

  test("none and one byte are stored under their digest, and the same ones again are the same object", async () => {
    const id = { case: "projectId", value: projectId } as const;
    for (const inputs of [create(flyte.task.InputsSchema), inputsOf(1), inputsOf(1_000)]) {
      const first = await dataOver(transport).uploadInputs({ id, inputs });
      const again = await dataOver(transport).uploadInputs({ id, inputs });
      expect(again.offloadedInputData).toEqual(first.offloadedInputData);
      const digest = createHash("sha256").update(toBinary(flyte.task.InputsSchema, inputs)).digest("hex");
      expect(first.offloadedInputData!.uri).toBe(`s3://biplane/acme/flights/development/inputs/${digest}`);
    }
  });

  test("get the task's defaults for what is not given", async () => {
    const fallback = { case: "default", value: textLiteral("fallback") } as const;
    const spec = create(flyte.task.TaskSpecSchema, {
      defaultInputs: [
        { name: "given", parameter: { behavior: fallback } },
        { name: "missing", parameter: { behavior: fallback } },
      ],
    });
    const inputs = { literals: [{ name: "given", value: textLiteral("mine") }] };
    const id = { case: "projectId", value: projectId } as const;
    const { offloadedInputData } = await dataOver(transport).uploadInputs({
      id,
      inputs,
      task: { case: "taskSpec", value: spec },
    });
    const key = offloadedInputData!.uri.slice("s3://biplane/".length);
    const bytes = await plane.stores.objects.store.read(`${key}/inputs.pb`, 10_000);
    const stored = fromBinary(flyte.task.InputsSchema, bytes!);
    expect(stored.literals.map(({ name }) => name)).toEqual(["given", "missing"]);
  });
});

describe("uploads", () => {
  const content = randomBytes(1_000);
  const contentMd5 = createHash("md5").update(content).digest();
  const where = { project: "flights", domain: "development", contentMd5 };

  test("go to a URL that is good for these bytes, and are written once (rule of state 11)", async () => {
    const asked = { ...where, filename: "data.csv", filenameRoot: `d-${randomUUID()}` };
    const location = await dataOver(transport).createUploadLocation({
      ...asked,
      addContentMd5Metadata: true,
    });
    expect(location.nativeUrl).toContain(`/uploads/${asked.filenameRoot}/data.csv`);
    expect(await put(location, content)).toBe(200);
    expect(await put(location, content)).toBe(200);
    expect(await put(location, randomBytes(1_000))).toBeGreaterThanOrEqual(400);
    const other = { ...asked, contentMd5: createHash("md5").update("other").digest() };
    expect(await errorOf(dataOver(transport).createUploadLocation(other))).toMatchObject({
      code: Code.AlreadyExists,
    });
  });

  test.each(["../x", "a//b", "/etc/passwd", "a/../b", "a\u0000b"])("can't go to %j", async (filename) => {
    const refused = await errorOf(dataOver(transport).createUploadLocation({ ...where, filename }));
    expect(refused.code).toBe(Code.InvalidArgument);
  });

  async function put(location: flyte.dataproxy.CreateUploadLocationResponse, body: Buffer): Promise<number> {
    const headers = {
      ...location.headers,
      "content-md5": contentMd5.toString("base64"),
      "content-length": body.length,
    };
    return new Promise((resolve, reject) => {
      const outgoing = request(
        location.signedUrl,
        { method: "PUT", headers, ca: plane.rootPem },
        (response) => {
          response.resume();
          resolve(response.statusCode!);
        },
      );
      outgoing.on("error", reject);
      outgoing.end(body);
    });
  }
});

describe("a run", () => {
  test("is admitted by the control plane, listed, shown, watched and ended", async () => {
    const runs = runsOver(transport);
    const { run } = await runs.createRun(await submission());
    const runId = run!.action!.id!.run!;
    expect(runId).toMatchObject({ org: testOrg, project: "flights", domain: "development" });
    expect(run!.action!.id!.name).toBe("a0");

    const { details } = await runs.getRunDetails({ runId });
    expect(details!.action!.status!.phase).toBe(flyte.common.ActionPhase.QUEUED);
    expect(details!.action!.attempts.map(({ attempt }) => attempt)).toEqual([1]);
    expect(details!.action!.metadata!.executedBy!.principal.value!.id!.subject).toBe(admin.id);
    const listed = await runs.listRuns({ scopeBy: { case: "projectId", value: projectId } });
    expect(listed.runs.map((one) => one.action!.id!.run!.name)).toContain(runId.name);

    const phases: number[] = [];
    const actionId = { run: runId, name: "a0" };
    const watching = (async () => {
      for await (const { details: seen } of runs.watchActionDetails({ actionId })) {
        phases.push(seen!.status!.phase);
        if (phases.length === 1) await runs.abortRun({ runId, reason: "enough" });
      }
    })();
    await watching;
    expect(phases.at(-1)).toBe(flyte.common.ActionPhase.ABORTED);
    const ended = await runs.getActionDetails({ actionId });
    expect(ended.details!.result.value).toMatchObject({ reason: "enough" });
    await runs.abortRun({ runId, reason: "again" });
  });

  test("is the same run when the same request is repeated, another when it is not (rule of state 2)", async () => {
    const again = plane.transport(admin.token, { "x-request-id": randomUUID() });
    const request = await submission();
    const first = await runsOver(again).createRun(request);
    expect((await runsOver(again).createRun(request)).run!.action!.id).toEqual(first.run!.action!.id);
    const changed = { ...request, runSpec: create(flyte.task.RunSpecSchema, { overwriteCache: true }) };
    expect((await runsOver(again).createRun(changed)).run!.action!.id).not.toEqual(first.run!.action!.id);
    expect((await runsOver(transport).createRun(request)).run!.action!.id).not.toEqual(first.run!.action!.id);
  });

  test("of a name that is taken already exists, of an unknown project is not found (rule of state 4)", async () => {
    const id = {
      case: "runId",
      value: { ...projectRun, name: `n${randomBytes(6).toString("hex")}` },
    } as const;
    await runsOver(transport).createRun({ ...(await submission()), id });
    expect((await errorOf(runsOver(transport).createRun({ ...(await submission("other")), id }))).code).toBe(
      Code.AlreadyExists,
    );
    const nowhere = { case: "projectId", value: { ...projectId, name: "nowhere" } } as const;
    const request = { ...(await submission()), id: nowhere, inputWrapper: { case: undefined } } as const;
    const refused = await errorOf(runsOver(transport).createRun({ ...request, task: specWithoutBundle() }));
    expect(refused.code).toBe(Code.NotFound);
  });

  test("whose bundle was never uploaded is refused", async () => {
    const missing = objectUri("biplane", `${codeBundlesPrefix(scope)}none/fast0.tar.gz`);
    const refused = await errorOf(runsOver(transport).createRun(await submission("x", missing)));
    expect(refused).toMatchObject({ code: Code.FailedPrecondition, reason: "bundle_missing" });
  });

  test.each([
    "s3://elsewhere/acme/flights/development/code-bundles/x",
    "s3://biplane/acme/flights/production/code-bundles/x",
    "s3://biplane/other/flights/development/code-bundles/x",
    "s3://biplane/acme/flights/development/../production/x",
    "file:///etc/passwd",
  ])("with a bundle outside its project-domain is refused: %s (claim TRUST-2)", async (uri) => {
    const refused = await errorOf(runsOver(transport).createRun(await submission("x", uri)));
    expect([Code.PermissionDenied, Code.InvalidArgument]).toContain(refused.code);
  });

  test("with storage or inputs outside its project-domain is refused (claim TRUST-2)", async () => {
    const request = await submission();
    const runSpec = create(flyte.task.RunSpecSchema, {
      rawDataStorage: { rawDataPrefix: "s3://elsewhere/x" },
    });
    expect((await errorOf(runsOver(transport).createRun({ ...request, runSpec }))).code).toBe(
      Code.PermissionDenied,
    );
    const uri = "s3://biplane/acme/flights/production/inputs/x";
    const inputWrapper = { case: "offloadedInputData", value: { uri, inputsHash: "h" } } as const;
    expect((await errorOf(runsOver(transport).createRun({ ...request, inputWrapper }))).code).toBe(
      Code.PermissionDenied,
    );
  });

  test("shows its inputs as they were stored, and empty outputs while there are none", async () => {
    const { run } = await runsOver(transport).createRun(await submission("look at me"));
    const actionId = { run: run!.action!.id!.run!, name: "a0" };
    const data = await dataOver(transport).getActionData({ actionId });
    expect(data.inputs!.literals[0]!.value).toEqual(textLiteral("look at me"));
    expect(data.outputs!.literals).toEqual([]);
  });

  test("is known to the control plane by name, phase and times, not by what was given to it (claim CLS-6)", async () => {
    const canary = randomBytes(12).toString("hex");
    const { run } = await runsOver(transport).createRun(await submission(canary));
    const { name } = run!.action!.id!.run!;
    const known = createClient(records.ControlPlaneRecordsService, transport);
    const { run: record } = await known.getRun({ run: { ...projectRun, name } });
    expect(record!.run!.name).toBe(name);
    expect(record!.createdBy).toBe(admin.id);
    expect(
      JSON.stringify(record, (_key, value) => (typeof value === "bigint" ? String(value) : value)),
    ).not.toContain(canary);
  });

  test("reports its progress, snapshot first", async () => {
    const { run } = await runsOver(transport).createRun(await submission());
    const { name } = run!.action!.id!.run!;
    const watch = createClient(progress.ProgressService, transport);
    for await (const message of watch.watchProgress({ run: { ...projectRun, name } })) {
      expect(message.tasks).toMatchObject([{ taskName: "hello" }]);
      break;
    }
  });
});

test("what the plane holds for a project-domain is listed by key and size", async () => {
  const client = createClient(objects.ObjectsService, transport);
  const place = { project: "flights", domain: "development" };
  const first = await client.listObjects({ ...place, limit: 1 });
  expect(first.objects).toHaveLength(1);
  const second = await client.listObjects({ ...place, limit: 1, cursor: first.nextCursor });
  expect(second.objects[0]!.key > first.objects[0]!.key).toBe(true);
});

test("a deployed task is listed, shown and run by reference", async () => {
  const tasks = createClient(flyte.task.TaskService, transport);
  const taskId = { ...projectRunPlace, name: "mod.hello", version: "v1" };
  const { task } = await submission();
  if (task.case !== "taskSpec") throw new Error("The submission has another shape.");
  await tasks.deployTask({ taskId, spec: task.value });
  const { tasks: listed } = await tasks.listTasks({ scopeBy: { case: "projectId", value: projectId } });
  expect(listed.map((one) => one.taskId!.name)).toContain("mod.hello");
  const { details } = await tasks.getTaskDetails({ taskId });
  expect(details!.metadata!.deployedBy!.principal.value!.id!.subject).toBe(admin.id);
  expect(details!.metadata!.deployedAt).toBeDefined();
  const { run } = await runsOver(transport).createRun({
    id: { case: "projectId", value: projectId },
    task: { case: "taskId", value: taskId },
  });
  expect(run!.action!.metadata!.spec.value).toMatchObject({ id: { name: "hello" } });
});

describe("projects", () => {
  test("keep their descriptions here: none crosses the border", async () => {
    const projects = createClient(flyte.project.ProjectService, transport);
    const { project } = await projects.getProject({ id: "flights" });
    expect(project).toMatchObject({ name: "Flights", description: "All of them.", org: testOrg });
    expect(project!.domains.map(({ id }) => id)).toEqual(["development", "staging", "production"]);
    const filtered = await projects.listProjects({ filters: "eq(state, 0)+contains(name, Fli)" });
    expect(filtered.projects!.projects.map(({ id }) => id)).toEqual(["flights"]);
    expect((await errorOf(projects.listProjects({ filters: "eq(secret, 1)" }))).code).toBe(
      Code.InvalidArgument,
    );
    const crossed = await readLedgerText();
    expect(crossed).toContain("flights");
    expect(crossed).not.toContain("All of them.");
  });

  test("are served from memory while the control plane is away", async () => {
    const projects = createClient(flyte.project.ProjectService, transport);
    await plane.stopControlPlane();
    const { projects: listed } = await projects.listProjects({});
    expect(listed!.projects.map(({ id }) => id)).toContain("flights");
    expect((await projects.getProject({ id: "flights" })).project!.description).toBe("All of them.");
    const created = errorOf(projects.createProject({ project: { id: "later", name: "Later" } }));
    expect((await created).code).toBe(Code.Unavailable);
  });

  async function readLedgerText(): Promise<string> {
    let text = "";
    const query = { fromSequence: 0n, follow: false, run: "" };
    for await (const entry of plane.stores.ledger.read(query, AbortSignal.timeout(5_000))) {
      text += Buffer.from(entry.message).toString("latin1");
    }
    return text;
  }
});

const projectRunPlace = { org: "", project: "flights", domain: "development" };
const projectRun = { ...projectRunPlace, name: "" };

function textLiteral(value: string) {
  return create(flyte.core.LiteralSchema, {
    value: {
      case: "scalar",
      value: {
        value: { case: "primitive", value: { value: { case: "stringValue", value } } },
      },
    },
  });
}

type Submission = Omit<MessageInitShape<typeof flyte.workflow.CreateRunRequestSchema>, "$typeName">;

async function submission(text = "hello", bundleUri?: string) {
  const uri = bundleUri ?? (await storeBundle());
  return {
    id: { case: "projectId", value: projectId },
    task: { case: "taskSpec", value: specOf(["biplane-worker", "--tgz", uri, "--task", "hello"]) },
    inputWrapper: {
      case: "inputs",
      value: create(flyte.task.InputsSchema, { literals: [{ name: "v", value: textLiteral(text) }] }),
    },
  } as const satisfies Submission;
}

function specWithoutBundle() {
  return { case: "taskSpec", value: specOf(["echo"]) } as const;
}

function specOf(args: string[]) {
  const name = "hello" as ActionName;
  return create(flyte.task.TaskSpecSchema, {
    shortName: name,
    taskTemplate: {
      id: { project: "flights", domain: "development", name, version: "v1" },
      type: "typescript",
      target: { case: "container", value: { args } },
    },
  });
}

async function storeBundle(): Promise<string> {
  const key = `${codeBundlesPrefix(scope)}test/fast1.tar.gz`;
  await plane.stores.objects.store.put(key, Buffer.from("a bundle"));
  return objectUri("biplane", key);
}
