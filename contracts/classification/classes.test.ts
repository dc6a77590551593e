/** What the register says of a message, and what it lets be sealed. */
import { ConnectRequestSchema, HeartbeatSchema, RunRefSchema } from "@biplane/control-wire";
import { create } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import type { DataSealedPlace } from "./index.ts";
import { classesOf } from "./index.ts";
import { registerRows } from "./register.ts";

test("a message is marked with the classes of what is in it, at any depth, and of nothing else", () => {
  expect(classesOf(RunRefSchema, create(RunRefSchema))).toEqual([]);
  expect(classesOf(RunRefSchema, create(RunRefSchema, { org: "acme" }))).toEqual(["platform"]);
  expect(classesOf(HeartbeatSchema, create(HeartbeatSchema, { sentAt: {} }))).toEqual(["platform"]);
  const run = { org: "acme", project: "flights", domain: "development", name: "r-1" };
  const events = [{ change: { case: "runWithdrawn", value: run } }] as const;
  const batch = create(ConnectRequestSchema, { message: { case: "events", value: { events: [...events] } } });
  expect(classesOf(ConnectRequestSchema, batch)).toEqual(["platform", "orchestration"]);
});

test("each row of the register has a name of its own (claim CLS-1)", () => {
  const names = registerRows().map(({ name }) => name);
  expect(names.length).toBeGreaterThan(1_000);
  expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([]);
});

test("only columns that the register calls sealed can be sealed", () => {
  const sealed: DataSealedPlace = ["run", "detail"];
  // @ts-expect-error A plain column.
  const plain: DataSealedPlace = ["run", "phase"];
  // @ts-expect-error A column of another table.
  const foreign: DataSealedPlace = ["run", "content"];
  expect([sealed, plain, foreign].map(([table]) => table)).toEqual(["run", "run", "run"]);
});
