import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import {
  ConnectRequestSchema,
  EventBatchSchema,
  findUnknownField,
  type Phase,
  RunProjectionSchema,
} from "./index.ts";

/** Field 99, a text: what a peer would send that has more to say than the protocol allows. */
const smuggled = { no: 99, wireType: 2, data: Uint8Array.of(3, 97, 98, 99) };

function requestWith(depth: "top" | "batch" | "event" | "run") {
  const run = create(RunProjectionSchema, { phase: 1 as Phase, run: { org: "acme", name: "r1" } });
  if (depth === "run") run.$unknown = [smuggled];
  const batch = create(EventBatchSchema, {
    incarnation: "one",
    events: [{ sequence: 1n }, { sequence: 2n, change: { case: "runUpdated", value: run } }],
  });
  if (depth === "event") batch.events[0]!.$unknown = [smuggled];
  if (depth === "batch") batch.$unknown = [smuggled];
  const request = create(ConnectRequestSchema, { message: { case: "events", value: batch } });
  if (depth === "top") request.$unknown = [smuggled];
  return fromBinary(ConnectRequestSchema, toBinary(ConnectRequestSchema, request));
}

test.each([
  ["top", "99"],
  ["batch", "events.99"],
  ["event", "events.events[0].99"],
  ["run", "events.events[1].run_updated.99"],
] as const)("an unknown field at depth %s is found with its path (claim CLS-2)", (depth, path) => {
  expect(findUnknownField(ConnectRequestSchema, requestWith(depth))).toBe(path);
});

test("a message of known fields only passes", () => {
  const request = create(ConnectRequestSchema, {
    message: { case: "heartbeat", value: { sentAt: { seconds: 1n, nanos: 2 } } },
  });
  expect(findUnknownField(ConnectRequestSchema, request)).toBeUndefined();
});
