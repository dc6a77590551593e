/** Requests that name a deployed task besides their own place: whoever may not read it gets nothing of it (claim IAM-2). */
import { flyte } from "@biplane/data-wire";
import { create } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startTestPlane, type TestClient, type TestPlane, testOrg } from "../plane.testing.ts";

const own = { project: "flights", domain: "development" };
const foreign = { project: "payroll", domain: "development" };
const secret = "a default that only payroll may see";

let plane: TestPlane;
let contributor: TestClient;
let admin: TestClient;
beforeAll(async () => {
  plane = await startTestPlane();
  admin = await plane.client("Admin");
  contributor = await plane.client("Contributor", own);
  const transport = plane.transport(admin.token);
  for (const place of [own, foreign]) {
    await createClient(flyte.project.ProjectService, transport).createProject({
      project: { id: place.project, name: place.project },
    });
    await createClient(flyte.task.TaskService, transport).deployTask({
      taskId: taskIn(place),
      spec: specWith(secret),
    });
  }
});
afterAll(() => plane?.close());

function taskIn(place: typeof own) {
  return { org: testOrg, ...place, name: "pay", version: "v1" };
}

function specWith(text: string) {
  const value = create(flyte.core.LiteralSchema, {
    value: {
      case: "scalar",
      value: {
        value: { case: "primitive", value: { value: { case: "stringValue", value: text } } },
      },
    },
  });
  return create(flyte.task.TaskSpecSchema, {
    shortName: "pay",
    defaultInputs: [{ name: "salary", parameter: { behavior: { case: "default", value } } }],
    taskTemplate: {
      id: { ...own, name: "pay", version: "v1" },
      type: "container",
      target: { case: "container", value: { args: ["echo"] } },
    },
  });
}

type Place = typeof own;
const methods: Record<string, (token: string, place: Place) => Promise<unknown>> = {
  CreateRun: (token, place) =>
    createClient(flyte.workflow.RunService, plane.transport(token)).createRun({
      id: { case: "projectId", value: { name: own.project, domain: own.domain } },
      task: { case: "taskId", value: taskIn(place) },
    }),
  UploadInputs: (token, place) =>
    createClient(flyte.dataproxy.DataProxyService, plane.transport(token)).uploadInputs({
      id: { case: "projectId", value: { name: own.project, domain: own.domain } },
      task: { case: "taskId", value: taskIn(place) },
    }),
};

describe.each(Object.keys(methods))("%s", (name) => {
  const call = methods[name]!;

  test("gives nothing of another project's task, and the refusal is on record", async () => {
    const refused = await call(contributor.token, foreign).then(
      () => "allowed",
      (error: unknown) => ConnectError.from(error).code,
    );
    expect(refused).toBe(Code.PermissionDenied);
    const records = (await plane.audit()).filter(
      ({ subject, method }) => subject === contributor.id && method.endsWith(`/${name}`),
    );
    expect(records.map(({ decision }) => decision)).toEqual(["denied"]);
  });

  test("control: takes a task that the caller may read", async () => {
    await call(contributor.token, own);
    await call(admin.token, foreign);
  });
});
