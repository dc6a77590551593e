/** Tasks in a worker's place: sub-actions, repeats, steps, failures, files, over a router and a store in memory. */
import { children, flyte } from "@biplane/data-wire";
import { create, toBinary } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import {
  context,
  File,
  file,
  group,
  map,
  NonRecoverableError,
  report,
  step,
  TaskFailedError,
  task,
  z,
} from "../index.ts";
import { inputFields } from "../tasks/definition.ts";
import { definitionOf, type Task } from "../tasks/task.ts";
import { typeOfSchema } from "../types/from-schema.ts";
import { decodeOutputs, encodeInputs } from "../values/inputs-outputs.ts";
import { FakeCluster } from "./fake-cluster.testing.ts";

const double = task({ name: "double", input: z.object({ n: z.int() }), output: z.int() }, ({ n }) => n * 2);

function inputsOf(defined: Task<never, unknown>, values: Record<string, unknown>): Uint8Array {
  return toBinary(flyte.task.InputsSchema, encodeInputs(inputFields(definitionOf(defined)), values));
}

async function outputOf(
  cluster: FakeCluster,
  defined: Task<never, unknown>,
  values: object,
  attempt = 1,
): Promise<unknown> {
  const done = await cluster.run(defined as Task, inputsOf(defined, { ...values }), attempt);
  if (done.result.case !== "outputs") throw new Error(done.result.value?.message ?? "no result");
  return decodeOutputs(typeOfSchema(definitionOf(defined).outputSchema), done.result.value);
}

test("a task called inside a task becomes a sub-action and gives back its typed output", async () => {
  const cluster = new FakeCluster();
  const parent = task({ name: "parent", input: z.object({ n: z.int() }), output: z.int() }, async ({ n }) => {
    const doubled: number = await double({ n });
    return doubled + 1;
  });
  expect(await outputOf(cluster, parent, { n: 20 })).toBe(41);
  expect(cluster.enqueued).toHaveLength(1);
  expect(cluster.waiting.at(-1)).toBe(false);
  expect(cluster.waiting).toContain(true);
});

test("sub-actions started together travel in one request, a thousand at most", async () => {
  const cluster = new FakeCluster();
  const parent = task({ name: "fan", output: z.array(z.int()) }, () =>
    map(
      double,
      Array.from({ length: 1_500 }, (_, n) => ({ n })),
    ),
  );
  const output = await outputOf(cluster, parent, {});
  expect(output).toEqual(Array.from({ length: 1_500 }, (_, n) => n * 2));
  expect(Math.max(...cluster.enqueueCalls)).toBe(1_000);
  expect(cluster.enqueueCalls.length).toBeLessThan(6);
  expect(new Set(cluster.enqueued.map((child) => child.group))).toEqual(new Set(["double"]));
});

test("equal calls get different names, and a repeated parent gives the same names in the same places", async () => {
  const parent = task({ name: "twice", output: z.array(z.int()) }, () =>
    group("pair", () => Promise.all([double({ n: 1 }), double({ n: 1 }), double({ n: 2 })])),
  );
  const [first, second] = [new FakeCluster(), new FakeCluster()];
  await outputOf(first, parent, {});
  await outputOf(second, parent, {});
  const names = first.enqueued.map((child) => child.name);
  expect(new Set(names).size).toBe(3);
  expect(second.enqueued.map((child) => child.name)).toEqual(names);
});

test("a repeated parent takes up the results of sub-actions that ended before", async () => {
  const cluster = new FakeCluster();
  let runs = 0;
  const counted = task({ name: "counted", output: z.int() }, () => {
    runs += 1;
    return runs;
  });
  const parent = task({ name: "repeated", output: z.int() }, () => counted());
  expect(await outputOf(cluster, parent, {})).toBe(1);
  expect(await outputOf(cluster, parent, {}, 2)).toBe(1);
  expect(runs).toBe(1);
});

test("a stream that ends is opened again and nothing is lost", async () => {
  const cluster = new FakeCluster();
  cluster.onChild = async (child) => {
    cluster.dropWatches();
    return create(children.ChildUpdateSchema, {
      name: child.name,
      phase: 6,
      result: {
        case: "error",
        value: { code: "OOMKilled", message: "too much", kind: 2, recoverable: true },
      },
    });
  };
  const parent = task({ name: "catching", output: z.string() }, async () => {
    try {
      await double({ n: 1 });
      return "no error";
    } catch (error) {
      return error instanceof TaskFailedError ? `${error.code} ${error.kind}` : "another error";
    }
  });
  expect(await outputOf(cluster, parent, {})).toBe("OOMKilled system");
  const careless = task({ name: "careless", output: z.int() }, () => double({ n: 1 }));
  const { result } = await cluster.run(careless as unknown as Task, new Uint8Array());
  expect(result).toMatchObject({ case: "error", value: { code: "ChildFailed", recoverable: false } });
  const named = `TaskFailedError: in sub-action ${cluster.enqueued.at(-1)?.name}: too much`;
  expect(result.case === "error" && result.value.message.split("\n")[0]).toBe(named);
});

test("a step's result is recorded, and taken up by the next attempt without running again", async () => {
  const cluster = new FakeCluster();
  let runs = 0;
  const parent = task({ name: "steps", output: z.string() }, async () => {
    const value = await step("load", () => {
      runs += 1;
      return { rows: [1, 2], label: "x" };
    });
    return `${value.label}${value.rows.length}`;
  });
  expect(await outputOf(cluster, parent, {})).toBe("x2");
  expect(await outputOf(cluster, parent, {}, 2)).toBe("x2");
  expect(runs).toBe(1);
  expect(cluster.traces.map((trace) => trace.functionName)).toEqual(["load"]);
});

test("failures carry a code of ours, and say whether another attempt can help", async () => {
  const cluster = new FakeCluster();
  const failing = task({ name: "failing", input: z.object({ how: z.string() }) }, ({ how }) => {
    if (how === "final") throw new NonRecoverableError("never again");
    throw new Error("secret words");
  });
  const errorOf = async (how: string) => {
    const done = await cluster.run(failing as unknown as Task, inputsOf(failing as never, { how }));
    return done.result.case === "error" ? done.result.value : undefined;
  };
  expect(await errorOf("final")).toMatchObject({ code: "NonRecoverableError", recoverable: false });
  const other = await errorOf("other");
  expect(other).toMatchObject({ code: "UserError", recoverable: true });
  expect(other?.message).toContain("secret words");
});

test("wrong input ends the attempt at once and names the place", async () => {
  const done = await new FakeCluster().run(double as unknown as Task, new Uint8Array());
  expect(done.result).toMatchObject({
    case: "error",
    value: { code: "ValidationError", recoverable: false },
  });
  expect(done.result.case === "error" && done.result.value.message).toContain("input.n");
});

test("files, reports, checkpoints and the context reach the task's code", async () => {
  const cluster = new FakeCluster();
  const reading = task(
    { name: "reading", input: z.object({ source: file() }), output: z.string() },
    async ({ source }) => {
      report.html(`<p>${report.escape("<b>")}</p>`);
      return `${await source.text()} ${context().action}`;
    },
  );
  const parent = task({ name: "files", output: z.string() }, async () => {
    await context().checkpoint.save("half way");
    return reading({ source: await File.write("note.txt", "hello") });
  });
  expect(await outputOf(cluster, parent, {})).toMatch(/^hello [0-9a-z]{20,25}$/);
  expect(cluster.reports).toEqual(["<p>&lt;b&gt;</p>"]);
  expect([...cluster.objects.keys()].some((key) => key.endsWith("/a0/1/_flytecheckpoints"))).toBe(true);
});

test("large inputs travel through the store", async () => {
  const cluster = new FakeCluster();
  const measure = task(
    { name: "measure", input: z.object({ text: z.string() }), output: z.int() },
    ({ text }) => text.length,
  );
  const parent = task({ name: "large", output: z.int() }, () => measure({ text: "x".repeat(300_000) }));
  expect(await outputOf(cluster, parent, {})).toBe(300_000);
  expect(cluster.enqueued[0]?.inputs.case).toBe("uri");
});

test("outside of a cluster a task is a plain function, checked all the same", async () => {
  expect(await double({ n: 4 })).toBe(8);
  await expect(double({ n: 1.5 })).rejects.toThrow("input of double.n");
});

test("a parent that writes the same file again gives its sub-action the same name", async () => {
  const cluster = new FakeCluster();
  const count = task(
    { name: "count", input: z.object({ source: file() }), output: z.int() },
    async ({ source }) => (await source.text()).length,
  );
  const parent = task({ name: "writing", output: z.int() }, async () =>
    count({ source: await File.write("note.txt", "same") }),
  );
  expect(await outputOf(cluster, parent, {}, 1)).toBe(4);
  expect(await outputOf(cluster, parent, {}, 2)).toBe(4);
  expect(cluster.enqueued).toHaveLength(1);
});

test.for(["output", "step", "input"])(
  "a value that is too large ends the attempt for good, as an %s too",
  async (where) => {
    const text = () => "x".repeat(11 * 1024 * 1024);
    const taking = task({ name: "taking", input: z.object({ text: z.string() }), output: z.int() }, () => 1);
    const large = task({ name: "large", output: z.string() }, async () => {
      if (where === "output") return text();
      return where === "step" ? step("large", text) : String(await taking({ text: text() }));
    });
    const done = await new FakeCluster().run(large as unknown as Task, new Uint8Array());
    expect(done.result).toMatchObject({
      case: "error",
      value: { code: "ValidationError", recoverable: false },
    });
    expect(done.result.case === "error" && done.result.value.message).toContain("as a file");
  },
);
