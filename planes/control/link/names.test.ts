/**
 * Names that are no names, in every text of the control wire: in each request of the index and of enrollment, and in each
 * event of the link. Whatever becomes of them, nothing fails inside, and nothing by such a name comes to be.
 */
import { EnrollmentService, EventSchema, IndexService } from "@biplane/control-wire";
import { create, type DescMethodUnary } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { afterAll, beforeAll, expect, test } from "vitest";
import { badNames, failures, textsOf, type Values, withText } from "../../../tests/support/bad-names.ts";
import {
  allow,
  createOrganization,
  enrollCluster,
  removeClusterFolders,
  startTestControlPlane,
  type TestCluster,
  type TestControlPlane,
} from "../../../tests/support/control-plane.ts";
import { LinkPeer, runCreated } from "../../../tests/support/link-peer.ts";

const methods = [
  ...Object.values(IndexService.method),
  ...Object.values(EnrollmentService.method),
] as readonly DescMethodUnary[];

let control: TestControlPlane;
let home: TestCluster;
beforeAll(async () => {
  control = await startTestControlPlane();
  const acme = await createOrganization("acme");
  home = await enrollCluster(control, acme, "home");
  await allow(control, acme);
});
afterAll(async () => {
  await control?.close();
  await removeClusterFolders();
});

async function outcomeOf(method: DescMethodUnary, values: Values): Promise<Code | "ok"> {
  const message = create(method.input, values as never);
  try {
    await home.transportAs("ada").unary(method, undefined, 10_000, undefined, message);
    return "ok";
  } catch (error) {
    return ConnectError.from(error).code;
  }
}

/** Of one event, on a link of its own. */
async function outcomeOfEvent(values: Values): Promise<Code | "ok"> {
  const peer = new LinkPeer(home);
  try {
    const cursor = await peer.open();
    peer.events([{ ...values, sequence: BigInt(cursor) + 1n } as never]);
    await peer.nextOf(["ack"]);
    return "ok";
  } catch (error) {
    return ConnectError.from(error).code;
  } finally {
    peer.close();
  }
}

async function keptNames(): Promise<string[]> {
  const index = createClient(IndexService, home.transportAs("ada"));
  const { projects } = await index.listProjects({});
  return projects.map(({ id }) => id);
}

test("control: most methods are there with honest names, and an honest event is taken", async () => {
  const outcomes = new Set<Code | "ok">();
  for (const method of methods) outcomes.add(await outcomeOf(method, withText(method.input, [], "")));
  expect(outcomes).toContain("ok");
  expect(outcomes).toContain(Code.NotFound);
  expect(await keptNames()).toContain("r1");
  expect(await outcomeOfEvent({ ...runCreated(1, "honest") })).toBe("ok");
});

test.each(Object.keys(badNames))(
  "%s in a request fails nowhere inside, and becomes no project",
  async (kind) => {
    const failed: string[] = [];
    for (const method of methods) {
      for (const path of textsOf(method.input)) {
        const outcome = await outcomeOf(method, withText(method.input, path, badNames[kind]!));
        if (failures.has(outcome)) failed.push(`${method.name} ${path.join(".")}: ${outcome}`);
      }
    }
    expect(failed).toEqual([]);
    expect(await keptNames()).not.toContain(badNames[kind]);
  },
);

test.each(Object.keys(badNames))("%s in an event of the link fails nowhere inside", async (kind) => {
  const failed: string[] = [];
  for (const path of textsOf(EventSchema)) {
    const outcome = await outcomeOfEvent(withText(EventSchema, path, badNames[kind]!));
    if (failures.has(outcome)) failed.push(`${path.join(".")}: ${outcome}`);
  }
  expect(failed).toEqual([]);
});
