import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { expect, test } from "vitest";
import { appendSupplement, flyte, readSupplement, supplement } from "./index.ts";

test("fields of a newer peer are read through the supplement, from the same bytes", () => {
  const writer = new BinaryWriter();
  writer.tag(6, WireType.LengthDelimited).string("fast");
  writer.tag(13, WireType.Varint).uint32(7);
  writer.tag(14, WireType.LengthDelimited).string("s3://biplane/acme/p/d/base");
  const spec = fromBinary(flyte.task.RunSpecSchema, writer.finish());
  const newer = readSupplement(spec, supplement.RunSpecSupplementSchema);
  expect(newer.maxActionConcurrency).toBe(7);
  expect(newer.runBaseDir).toBe("s3://biplane/acme/p/d/base");
});

test("appended fields reach a newer peer and keep the others", () => {
  const response = create(flyte.cluster.SelectClusterResponseSchema, { clusterEndpoint: "https://router:1" });
  const addition = create(supplement.SelectClusterResponseSupplementSchema, { cluster: "home" });
  appendSupplement(response, supplement.SelectClusterResponseSupplementSchema, addition);
  const bytes = toBinary(flyte.cluster.SelectClusterResponseSchema, response);
  expect(fromBinary(supplement.SelectClusterResponseSupplementSchema, bytes).cluster).toBe("home");
  expect(fromBinary(flyte.cluster.SelectClusterResponseSchema, bytes).clusterEndpoint).toBe(
    "https://router:1",
  );
});

test("a field of many bytes keeps its length", () => {
  const labels = Object.fromEntries(
    Array.from({ length: 50 }, (_, index) => [`label-${index}`, "x".repeat(200)]),
  );
  const run = create(flyte.workflow.RunSchema);
  appendSupplement(run, supplement.RunSupplementSchema, create(supplement.RunSupplementSchema, { labels }));
  const read = fromBinary(flyte.workflow.RunSchema, toBinary(flyte.workflow.RunSchema, run));
  expect(readSupplement(read, supplement.RunSupplementSchema).labels).toEqual(labels);
});
