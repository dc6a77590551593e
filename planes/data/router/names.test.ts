/**
 * Names that are no names, in every text of every request that the router serves: whatever becomes of them, nothing
 * fails inside and nothing by such a name comes to be. The requests are made from the descriptors, so that a new method
 * is tried without anybody thinking of it.
 */
import { rpcTable } from "@biplane/classification";
import { flyte, policy } from "@biplane/data-wire";
import { create, type DescMethod } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { afterAll, beforeAll, expect, test } from "vitest";
import { badNames, failures, textsOf, type Values, withText } from "../../../tests/support/bad-names.ts";
import { createServices } from "../api/index.ts";
import type { ApiParts } from "../api/parts.ts";
import { startTestPlane, type TestPlane, testOrg } from "../plane.testing.ts";

interface Method {
  readonly name: string;
  readonly desc: DescMethod;
}
const methods: Method[] = createServices({} as ApiParts).flatMap(({ service }) =>
  service.methods
    .map((desc) => ({ name: `${service.typeName}/${desc.name}`, desc }))
    .filter(({ name }) => name in rpcTable),
);

let plane: TestPlane;
let transport: Transport;
beforeAll(async () => {
  plane = await startTestPlane();
  transport = plane.transport((await plane.client("Admin")).token);
});
afterAll(() => plane?.close());

/** Calls it; a stream that has nothing to say yet is left after its first message, or after a moment. */
async function outcomeOf({ desc }: Method, values: Values): Promise<Code | "ok"> {
  const signal = AbortSignal.timeout(2_000);
  try {
    if (desc.methodKind === "unary") {
      await transport.unary(desc as never, signal, undefined, undefined, create(desc.input, values as never));
    } else {
      const message = create(desc.input, values as never);
      const answer = await transport.stream(
        desc as never,
        signal,
        undefined,
        undefined,
        of(message) as never,
      );
      await answer.message[Symbol.asyncIterator]().next();
    }
    return "ok";
  } catch (error) {
    return ConnectError.from(error).code;
  }
}

async function* of<T>(message: T) {
  yield message;
}

/** Of everything that a request can make under a name of its own choice. */
async function madeNames(): Promise<string[]> {
  const { projects } = await createClient(flyte.project.ProjectService, transport).listProjects({
    org: testOrg,
  });
  const { roles } = await createClient(policy.PolicyService, transport).listRoles({});
  const projectId = { organization: testOrg, name: "flights", domain: "development" };
  const scope = { case: "projectId", value: projectId } as const;
  const { tasks } = await createClient(flyte.task.TaskService, transport).listTasks({ scopeBy: scope });
  return [
    ...(projects?.projects ?? []).map(({ id }) => id),
    ...roles.map(({ name }) => name),
    ...tasks.flatMap(({ taskId }) => [taskId?.name ?? "", taskId?.version ?? ""]),
  ];
}

test("control: most methods are there with honest names", async () => {
  const outcomes = new Set<Code | "ok">();
  for (const method of methods) outcomes.add(await outcomeOf(method, withText(method.desc.input, [], "")));
  expect(outcomes).toContain("ok");
  expect(outcomes).toContain(Code.NotFound);
});

test.each(Object.keys(badNames))(
  "%s fails nowhere inside, and becomes no project, task or role",
  async (kind) => {
    const text = badNames[kind]!;
    const failed: string[] = [];
    for (const method of methods) {
      for (const path of textsOf(method.desc.input)) {
        const outcome = await outcomeOf(method, withText(method.desc.input, path, text));
        if (failures.has(outcome)) failed.push(`${method.name} ${path.join(".")}: ${outcome}`);
      }
    }
    expect(failed).toEqual([]);
    expect(await madeNames()).not.toContain(text);
  },
  300_000,
);
