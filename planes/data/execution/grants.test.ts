import { flyte } from "@biplane/data-wire";
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { encode } from "@msgpack/msgpack";
import { expect, test } from "vitest";
import type { Lease } from "../runs/types.ts";
import { GrantPlanner } from "./grants.ts";
import { MemoryObjects } from "./testing/memory-objects.ts";

const scope = "acme/flights/development";
const names = { org: "acme", project: "flights", domain: "development", run: "r1" };

async function planFor(
  inputs: MessageInitShape<typeof flyte.task.InputsSchema>,
  action = "a0",
): Promise<readonly string[]> {
  const objects = new MemoryObjects();
  const bytes = toBinary(flyte.task.InputsSchema, create(flyte.task.InputsSchema, inputs));
  await objects.put(`${scope}/inputs/1/inputs.pb`, bytes);
  const root = { inputUri: `s3://biplane/${scope}/inputs/1/inputs.pb` };
  const own = action === "a0" ? root : { inputUri: `s3://biplane/${scope}/r1/${action}/inputs.pb` };
  const planner = new GrantPlanner({ getAction: async () => root as never }, objects);
  const lease = { ...names, action, attempt: 1, record: own } as unknown as Lease;
  const grant = await planner.plan(lease, `s3://biplane/${scope}/code-bundles/b.tar.gz`);
  expect(grant.writePrefixes).toEqual([`${scope}/r1/`]);
  return grant.readPrefixes.filter((prefix) => prefix !== `${scope}/r1/`);
}

function blob(uri: string) {
  return { value: { case: "scalar", value: { value: { case: "blob", value: { uri } } } } } as const;
}

test("a task reads its run, its bundle, its inputs, and the files that its inputs refer to", async () => {
  const packed = encode({ nested: [{ file: { path: `s3://biplane/${scope}/uploads/2`, format: "" } }] });
  const binary = { value: { case: "binary", value: { value: packed, tag: "msgpack" } } } as const;
  const literals = [
    { name: "file", value: blob(`s3://biplane/${scope}/uploads/1`) },
    { name: "object", value: { value: { case: "scalar", value: binary } } },
  ] as const;
  expect(await planFor({ literals: [...literals] })).toEqual([
    `${scope}/inputs/1/inputs.pb`,
    `${scope}/code-bundles/b.tar.gz`,
    `${scope}/uploads/1`,
    `${scope}/uploads/2`,
  ]);
});

test("a plain string, another project, another bucket and a way upwards grant nothing", async () => {
  const primitive = {
    case: "primitive",
    value: { value: { case: "stringValue", value: `s3://biplane/${scope}/r2/` } },
  } as const;
  const literals = [
    { name: "text", value: { value: { case: "scalar", value: { value: primitive } } } },
    { name: "project", value: blob("s3://biplane/acme/other/development/r2/a0/1/outputs.pb") },
    { name: "bucket", value: blob(`s3://elsewhere/${scope}/uploads/1`) },
    { name: "upwards", value: blob(`s3://biplane/${scope}/../../secret`) },
    { name: "everything", value: blob(`s3://biplane/${scope}/`) },
  ] as const;
  const prefixes = await planFor({ literals: [...literals] });
  expect(prefixes).toEqual([`${scope}/inputs/1/inputs.pb`, `${scope}/code-bundles/b.tar.gz`]);
});

test("a sub-action reads what the run's own inputs refer to, whatever its parent wrote for it", async () => {
  const literals = [{ name: "file", value: blob(`s3://biplane/${scope}/uploads/1`) }] as const;
  expect(await planFor({ literals: [...literals] }, "child")).toEqual([
    `${scope}/r1/child/inputs.pb`,
    `${scope}/code-bundles/b.tar.gz`,
    `${scope}/uploads/1`,
  ]);
});
