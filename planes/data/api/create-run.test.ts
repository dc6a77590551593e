import { flyte } from "@biplane/data-wire";
import { create } from "@bufbuild/protobuf";
import { expect, test, vi } from "vitest";
import type { AuthorizedCall } from "../router/call.ts";
import type { NewRun } from "../runs/types.ts";
import { createRun } from "./create-run.ts";
import type { ApiParts } from "./parts.ts";

const { CreateRunRequestSchema } = flyte.workflow;
const inputsUri = "s3://biplane/acme/flights/development/inputs/given";

function stubs() {
  const stored = vi.fn(async (_: string) => undefined);
  const created = vi.fn(async (_: NewRun) => ({}));
  const parts = {
    projects: { entry: () => undefined },
    residency: { regions: { declared: "" } },
    objects: { bucket: "biplane", head: async () => ({ sha256: "00" }), put: stored },
    clock: { now: () => 0 },
    runs: { createRun: created },
  } as unknown as ApiParts;
  return { parts, stored, created };
}

function callWith(recorded: Promise<void>): AuthorizedCall {
  return {
    org: "acme",
    principal: { subject: "ada" },
    clientRequestId: undefined,
    recorded,
  } as AuthorizedCall;
}

const request = (inputWrapper: flyte.workflow.CreateRunRequest["inputWrapper"]) =>
  create(CreateRunRequestSchema, {
    id: { case: "projectId", value: { name: "flights", domain: "development" } },
    task: { case: "taskSpec", value: {} },
    inputWrapper,
  });
const requests = [
  ["inputs of its own", request({ case: "inputs", value: create(flyte.task.InputsSchema) }), 1],
  [
    "stored inputs",
    request({
      case: "offloadedInputData",
      value: create(flyte.common.OffloadedInputDataSchema, { uri: inputsUri }),
    }),
    0,
  ],
] as const;

test.each(requests)(
  "with %s, nothing is stored before the request is on record (claim AUD-1)",
  async (_, sent, puts) => {
    const { parts, stored, created } = stubs();
    const record = Promise.withResolvers<void>();
    const creating = createRun(parts, callWith(record.promise), sent);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect([stored.mock.calls.length, created.mock.calls.length]).toEqual([0, 0]);
    record.resolve();
    await creating;
    expect([stored.mock.calls.length, created.mock.calls.length]).toEqual([puts, 1]);
  },
);

test.each(requests)("with %s, what can't be recorded does not happen (claim AUD-1)", async (_, sent) => {
  const { parts, stored, created } = stubs();
  const full = Promise.reject(new Error("The disk is full."));
  await expect(createRun(parts, callWith(full), sent)).rejects.toThrow("full");
  expect([stored.mock.calls.length, created.mock.calls.length]).toEqual([0, 0]);
});
